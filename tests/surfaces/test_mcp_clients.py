"""Agents made of the official SDKs, the official conformance suite and the Inspector, against a whole server.

Each lives in an environment of its own, which the Makefile makes: `make test` the newest Python SDK, `make test-slow`
the others.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import pictures
from tests.proxying import keyed
from tests.running import RunningServer, running

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "tests/clients"
HOMES = Path(os.environ.get("TEST_CLIENTS", ROOT / ".venv"))
"""Where the environments are."""
PYTHON, OLD_PYTHON = HOMES / "mcp/bin/python", HOMES / "mcp1/bin/python"
PACKAGES = HOMES / "mcp-node/node_modules"
NODE = PACKAGES / ".bin/node"
BRIDGE = [sys.executable, str(ROOT / "run.py"), "mcp-stdio"]
TOOLS = [
    *("get_quota", "upload_image", "list_images", "get_image", "delete_image", "list_folders", "create_folder"),
    "create_upload_ticket",
]
DEADLINE = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    limits = {"api_per_minute": 0, "mcp_per_minute": 0}
    with running(tmp_path_factory.mktemp("data"), limits=limits, imaging={"workers": 2}) as server:
        yield server


def run(server: RunningServer, *command: str | Path, script: str = "") -> str:
    """Run a client with a new account's key, and return what it printed."""
    assert Path(command[0]).exists(), f"{command[0]} is missing: `make test` and `make test-slow` make what they need"
    environment = {**os.environ, "IMAGEUPLOAD_API_KEY": server.new_key("pro"), "IMAGEUPLOAD_URL": server.url}
    environment["PATH"] = f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"
    folder = PACKAGES.parent if PACKAGES.exists() else ROOT
    done = subprocess.run(
        command,
        env=environment,
        input=script,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def check_story(told: str, versions: set[str | None], way: str, picture: Path) -> None:
    """Hold what an agent saw against what it should have seen."""
    story: dict[str, Any] = json.loads(told)
    assert story.pop("version") in versions
    slugs = story.pop("slugs")
    assert len(set(slugs)) == 1
    assert story == {
        "tools": TOOLS,
        "kinds": ["text", "resource_link"],
        "count": 1,
        "used": 1,
        "by_path": len(pictures.jpeg()) if way == "stdio" else None,
        "refused": {
            "bad base64": "bad_field",
            "bad field": "bad_field",
            "no picture": "unsupported_type",
            "not there": "not_found",
            "not used yet": "not_found",
        },
    }


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(pictures.jpeg())
    return path


@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize("way", ["http", "stdio"])
def test_an_agent_of_the_newest_python_sdk(server: RunningServer, picture: Path, way: str, mode: str) -> None:
    bridge = BRIDGE if way == "stdio" else []
    told = run(server, PYTHON, CLIENTS / "agent_python.py", way, mode, picture, *bridge)
    check_story(told, {"2025-11-25" if mode == "legacy" else "2026-07-28"}, way, picture)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["http", "stdio"])
def test_an_agent_of_the_python_sdk_before(server: RunningServer, picture: Path, way: str) -> None:
    bridge = BRIDGE if way == "stdio" else []
    told = run(server, OLD_PYTHON, CLIENTS / "agent_python.py", way, "legacy", picture, *bridge)
    check_story(told, {"2025-11-25"}, way, picture)


@pytest.mark.slow
@pytest.mark.parametrize(("package", "mode"), [("sdk", "legacy"), ("client", "legacy"), ("client", "auto")])
@pytest.mark.parametrize("way", ["http", "stdio"])
def test_an_agent_of_the_typescript_sdk(
    server: RunningServer, picture: Path, way: str, package: str, mode: str
) -> None:
    """1.x does not tell over stdio which revision was agreed."""
    bridge = BRIDGE if way == "stdio" else []
    script = (CLIENTS / "agent.mjs").read_text()
    told = run(server, NODE, "--input-type=module", "-", package, way, mode, str(picture), *bridge, script=script)
    check_story(told, {None, "2025-11-25"} if mode == "legacy" else {"2026-07-28"}, way, picture)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["http", "stdio"])
def test_the_inspector_finds_nothing_to_warn_of(server: RunningServer, way: str) -> None:
    if way == "http":
        target = ["--transport", "http", "--server-url", f"{server.url}/mcp"]
    else:
        target = ["-e", f"IMAGEUPLOAD_URL={server.url}", *BRIDGE]
    told = run(server, PACKAGES / ".bin/mcp-inspector", "--cli", "--method", "tools/list", "--strict", *target)
    assert [tool["name"] for tool in json.loads(told)["tools"]] == TOOLS


def test_the_documented_configuration_starts_the_bridge(server: RunningServer, picture: Path) -> None:
    """The JSON of docs/agents.md, with the command, the key and the address of this test put in."""
    shown = re.search(r"^```json\n(.*?)^```", (ROOT / "docs/agents.md").read_text(), re.MULTILINE | re.DOTALL)
    assert shown
    entry = json.loads(shown[1])["mcpServers"]["imageupload"]
    assert [entry["command"], *entry["args"]] == ["iuserver", "mcp-stdio"]
    assert set(entry["env"]) == {"IMAGEUPLOAD_API_KEY", "IMAGEUPLOAD_URL", "IMAGEUPLOAD_ROOTS"}
    for block in re.findall(r"^```json\n(.*?)^```", (ROOT / "docs/agents.md").read_text(), re.MULTILINE | re.DOTALL):
        json.loads(block)


# The conformance suite: what fits a server of tools only. What does not: docs/mcp.md.

FITTING = {
    "2025-06-18": {"server-initialize", "server-session-lifecycle", "ping", "tools-list"},
    "2025-11-25": {
        *("server-initialize", "server-session-lifecycle", "ping", "tools-list", "dns-rebinding-protection"),
        *("server-sse-polling", "server-sse-multiple-streams"),
    },
    "2026-07-28": {
        *("server-stateless", "tools-list", "caching", "http-header-validation", "dns-rebinding-protection"),
        *("server-sse-multiple-streams", "sep-2164-resource-not-found", "input-required-result-validate-input"),
        *("input-required-result-missing-input-response", "input-required-result-ignore-extra-params"),
        "input-required-result-unsupported-methods",
    },
}
NOT_OURS = {
    ("server-stateless", "sep-2575-server-rejects-undeclared-capability"),
    ("server-stateless", "sep-2575-missing-capability-http-400"),
    ("server-stateless", "sep-2575-http-server-no-independent-requests-on-stream"),
    ("server-stateless", "sep-2575-server-no-log-without-loglevel"),
    ("caching", "sep-2549-prompts-list-caching-hints"),
    ("caching", "sep-2549-resources-list-caching-hints"),
    ("caching", "sep-2549-resources-templates-list-caching-hints"),
}
"""Checks of fitting scenarios that ask for what we do not have: test tools, prompts, resources."""


@pytest.mark.slow
@pytest.mark.parametrize("version", FITTING)
def test_the_conformance_suite(server: RunningServer, tmp_path: Path, version: str) -> None:
    suite = PACKAGES / "@modelcontextprotocol/conformance/dist/index.js"
    assert suite.exists(), "`make test-slow` makes what it needs"
    with keyed(server.address, server.new_key("pro")) as url:
        options = ["--url", f"{url}/mcp", "--suite", "all", "--spec-version", version, "-o", str(tmp_path)]
        subprocess.run([NODE, suite, "server", *options], capture_output=True, timeout=300, check=False)
    checks = [
        (re.sub(r"^server-|-\d{4}-\d\d-\d\dT.*$", "", file.parent.name), check["id"], check["status"])
        for file in tmp_path.rglob("checks.json")
        for check in json.loads(file.read_text())
    ]
    failed = {(scenario, id_) for scenario, id_, status in checks if status == "FAILURE"}
    assert FITTING[version] <= {scenario for scenario, _, _ in checks}
    assert {(scenario, id_) for scenario, id_ in failed if scenario in FITTING[version]} <= NOT_OURS
    assert not [scenario for scenario, id_ in failed if id_ == "wire-schema-valid"]
    assert sum(status == "SUCCESS" for _, _, status in checks) >= 25


def test_the_docs_tell_which_scenarios_pass() -> None:
    page = (ROOT / "docs/mcp.md").read_text()
    for version, scenarios in FITTING.items():
        row = re.search(rf"^\| {version} \| (.*) \|$", page, re.MULTILINE)
        assert row
        assert set(re.findall(r"`([\w-]+)`", row[1])) == scenarios
