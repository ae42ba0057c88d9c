"""The clients that docs/clients.md shows, run as they stand there but for scheme and host."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import pictures
from tests.running import RunningServer

SHOWN = (Path(__file__).parents[2] / "docs/clients.md").read_text()
CLIENTS = {
    "bash": ["bash", "client"],
    "python": [sys.executable, "client"],
    "javascript": ["node", "client.mjs"],
    "php": ["php", "client"],
    "ruby": ["ruby", "client"],
    "perl": ["perl", "client"],
    "go": ["go", "run", "client.go"],
}


@pytest.mark.slow
@pytest.mark.parametrize("language", CLIENTS)
def test_a_documented_client_works(server: RunningServer, tmp_path: Path, language: str) -> None:
    program = re.search(rf"^```{language}\n(.*?)^```", SHOWN, re.MULTILINE | re.DOTALL)
    assert program
    assert shutil.which(CLIENTS[language][0]), f"{CLIENTS[language][0]} is missing"
    scheme = {"use_ssl: true": "use_ssl: false", "https://imageupload.io": server.url}
    source = program[1]
    for theirs, ours in scheme.items():
        source = source.replace(theirs, ours)
    (tmp_path / CLIENTS[language][-1]).write_text(source)
    (tmp_path / "photo.jpg").write_bytes(pictures.phone_jpeg())
    done = subprocess.run(
        CLIENTS[language],
        cwd=tmp_path,
        env={**os.environ, "IMAGEUPLOAD_API_KEY": server.new_key(), "GOCACHE": str(tmp_path / "go")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(re.escape(server.url) + r"/f/\w{8}\.jpg\n", done.stdout)
    assert server.get(done.stdout.strip()).status_code == 200
