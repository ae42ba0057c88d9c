"""The clients that /docs and docs/clients.md show, run as the page shows them; two languages are parsed only."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

from handlers.reference.text import ADDRESS, EXAMPLES
from tests import pictures
from tests.running import RunningServer

pytestmark = pytest.mark.slow

TOOLS = Path(__file__).parents[2] / ".venv/openapi/bin/python"
PROGRAMS = {
    "cURL": ["bash", "client"],
    "Python": [sys.executable, "client"],
    "Node": ["node", "client.mjs"],
    "PHP": ["php", "client"],
    "Ruby": ["ruby", "client"],
    "Perl": ["perl", "client"],
    "Go": ["go", "run", "client.go"],
}
PARSED = {"Rust": "tree_sitter_rust", "PowerShell": "tree_sitter_powershell"}
"""Languages whose programs and libraries are not in Debian, and their grammars."""


def shown(server: RunningServer, language: str) -> str:
    """A client as the page shows it."""
    page = server.get("/docs").text
    section = re.search(rf'<section aria-label="{language}">.*?<pre[^>]*>(.*?)</pre>', page, re.DOTALL)
    assert section
    return unescape(section[1])


def test_the_page_shows_every_example_with_this_servers_address(server: RunningServer) -> None:
    assert PROGRAMS.keys() | PARSED.keys() == {example.name for example in EXAMPLES}
    for example in EXAMPLES:
        assert shown(server, example.name) == example.source.replace(ADDRESS, server.url)


@pytest.mark.parametrize("language", PROGRAMS)
def test_a_client_works_as_it_is_shown(server: RunningServer, tmp_path: Path, language: str) -> None:
    program = PROGRAMS[language]
    assert shutil.which(program[0]), f"{program[0]} is missing"
    (tmp_path / program[-1]).write_text(shown(server, language))
    (tmp_path / "photo.jpg").write_bytes(pictures.phone_jpeg())
    environ = {**os.environ, "IMAGEUPLOAD_API_KEY": server.new_key(), "GOCACHE": str(tmp_path / "go")}
    done = subprocess.run(program, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(re.escape(server.url) + r"/f/\w{8}\.jpg\n", done.stdout)
    assert server.get(done.stdout.strip()).status_code == 200


@pytest.mark.parametrize("language", PROGRAMS)
def test_a_client_that_is_refused_fails(server: RunningServer, tmp_path: Path, language: str) -> None:
    """With the exit status, or, where a pipe hides that, by printing no URL."""
    program = PROGRAMS[language]
    (tmp_path / program[-1]).write_text(shown(server, language))
    (tmp_path / "photo.jpg").write_bytes(b"no picture")
    environ = {**os.environ, "IMAGEUPLOAD_API_KEY": server.new_key(), "GOCACHE": str(tmp_path / "go")}
    done = subprocess.run(program, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 or done.stdout == "null\n"
    assert "/f/" not in done.stdout


PARSE = """
import importlib, sys, tree_sitter
grammar = tree_sitter.Language(importlib.import_module(sys.argv[1]).language())
sys.exit(tree_sitter.Parser(grammar).parse(sys.stdin.buffer.read()).root_node.has_error)
"""


@pytest.mark.parametrize("language", PARSED)
def test_what_cannot_be_run_everywhere_is_parsed(server: RunningServer, language: str) -> None:
    source = shown(server, language)
    for text, expected in ((source, 0), (source.replace("(", "{", 1).replace("@{", "@[", 1), 1)):
        done = subprocess.run([TOOLS, "-c", PARSE, PARSED[language]], input=text.encode(), capture_output=True)
        assert done.returncode == expected, done.stderr
