"""Programs that read /openapi.json: a validator, two generators of clients, and schemathesis."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests import pictures
from tests.agents import Agent
from tests.running import RunningServer, running
from tests.signed_in import signed_in

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "tests/clients"
PYTHON, NODE = ROOT / ".venv/openapi", ROOT / ".venv/openapi-node/node_modules"
CASES = 1000
"""Cases in all, at least: each operation has its share of the random ones, and some of its own besides."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    limits = {"api_per_minute": 0, "mcp_per_minute": 0, "web_per_minute": 0}
    with running(tmp_path_factory.mktemp("data"), limits=limits, imaging={"workers": 2}) as server:
        yield server


@pytest.fixture
def folder(server: RunningServer, tmp_path: Path) -> Path:
    """A folder with the description, and a picture."""
    (tmp_path / "openapi.json").write_bytes(server.get("/openapi.json").content)
    (tmp_path / "photo.jpg").write_bytes(pictures.phone_jpeg())
    return tmp_path


def run(folder: Path, program: Sequence[str | Path], seconds: int = 120, **environ: str) -> str:
    done = subprocess.run(
        program, cwd=folder, env={**os.environ, **environ}, capture_output=True, text=True, timeout=seconds
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_description_is_valid(folder: Path) -> None:
    assert "OK" in run(folder, [PYTHON / "bin/openapi-spec-validator", "openapi.json"])
    damaged = json.loads((folder / "openapi.json").read_text())
    del damaged["paths"]["/api/quota"]["get"]["responses"]
    (folder / "damaged.json").write_text(json.dumps({**damaged, "info": {}}))
    with pytest.raises(AssertionError):
        run(folder, [PYTHON / "bin/openapi-spec-validator", "damaged.json"])


def test_a_client_made_for_python_uploads_lists_and_deletes(server: RunningServer, folder: Path) -> None:
    generate = [PYTHON / "bin/openapi-python-client", "generate", "--path", "openapi.json", "--meta", "none"]
    run(folder, [*generate, "--output-path", "made"])
    program = [PYTHON / "bin/python", CLIENTS / "generated.py", server.url, server.new_key(), "photo.jpg"]
    assert run(folder, program, PYTHONPATH=str(folder)) == "done\n"


def test_a_client_made_for_typescript_uploads_lists_and_deletes(server: RunningServer, folder: Path) -> None:
    (folder / "node_modules").symlink_to(NODE)
    shutil.copy(CLIENTS / "generated.ts", folder / "generated.mts")
    node = NODE / ".bin/node"
    run(folder, [node, NODE / "openapi-typescript/bin/cli.js", "openapi.json", "-o", "made.d.ts"])
    strict = [
        "--noEmit",
        "--strict",
        "--skipLibCheck",
        "--types",
        "node",
        "--module",
        "esnext",
        "--moduleResolution",
        "bundler",
    ]
    run(folder, [node, NODE / "typescript/bin/tsc", *strict, "--target", "es2022", "generated.mts"])
    program = [node, "generated.mts", server.url, server.new_key(), "photo.jpg"]
    assert run(folder, program, NODE_NO_WARNINGS="1") == "done\n"


def test_no_case_of_schemathesis_finds_a_difference(server: RunningServer, folder: Path) -> None:
    """tests/clients/schemathesis.toml says what is left out, and why. The seed makes every run the same."""
    prepare(server, folder)
    paths = server.get("/openapi.json").json()["paths"].values()
    each = CASES // sum(len(methods.keys() - {"parameters"}) for methods in paths)
    options = ["--config-file", str(CLIENTS / "schemathesis.toml"), "run", f"{server.url}/openapi.json"]
    program = [
        PYTHON / "bin/schemathesis",
        *options,
        "--max-examples",
        str(each),
        "--seed",
        "19",
        "--continue-on-failure",
    ]
    environ = {"PYTHONPATH": str(CLIENTS), "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "DESCRIBED_FOLDER": str(folder)}
    told = run(folder, program, 600, **environ)
    cases = re.search(r"(\d+) generated, (\d+) passed", told)
    assert cases, told
    assert cases[1] == cases[2]
    assert int(cases[1]) >= CASES


def prepare(server: RunningServer, folder: Path) -> None:
    """What schemathesis_hooks.py is given: pictures, keys of every plan, a cookie, and what is there to ask for."""
    (folder / "pictures").mkdir()
    for name in ("phone_jpeg", "phone_png", "phone_gif", "phone_webp", "phone_avif", "jpeg", "apng"):
        (folder / "pictures" / name).write_bytes(getattr(pictures, name)())
    keys = [server.new_key(plan) for plan in ("free", "starter", "pro", "business")]
    (folder / "keys.json").write_text(json.dumps(keys))
    (folder / "cookie").write_text(signed_in(server).cookie)
    ways: list[dict[str, str]] = [{}, {"password": "secret"}, {"expiration": "burn"}]
    slugs = [server.upload(keys[2], pictures.jpeg(), **ways[number % 3]).json()["slug"] for number in range(15)]
    agent = Agent(server, keys[3])
    links = [agent.done("create_upload_ticket")["upload_url"] for _ in range(10)]
    folders = {Agent(server, key).done("create_folder", name="Holiday photos")["slug"] for key in keys}
    known = {"slug": slugs, "ticket": [link.rpartition("/")[2] for link in links], "folder": [*folders]}
    (folder / "known.json").write_text(json.dumps(known))
