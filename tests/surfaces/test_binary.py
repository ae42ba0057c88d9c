"""The binary, as one file and as a folder: everything is in it, whatever the machine has."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import psutil
import pytest
import requests

from tests import pictures
from tests.running import DEADLINE, bearer, eventually
from tests.surfaces.test_cli import ROOT

pytestmark = pytest.mark.slow

DIST = ROOT / "dist"
NOTHING = {"PATH": "/nowhere"}


@pytest.fixture(scope="module", params=["one file", "folder"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The binary's path. The folder is where the archive has been unpacked."""
    if request.param == "one file":
        assert (DIST / "iuserver").exists(), "dist/iuserver is missing: `make binary` makes it"
        return str(DIST / "iuserver")
    (archive,) = DIST.glob("iuserver-*-linux-x86_64.tar.gz")
    folder = tmp_path_factory.mktemp("binary")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return str(folder / "iuserver/iuserver")


def told(program: str, *arguments: str) -> str:
    """What a command prints, where there is no Python and nothing else."""
    done = subprocess.run([program, *arguments], env=NOTHING, cwd="/", capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@contextlib.contextmanager
def serving(program: str, data: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [program, "serve", "--data", str(data), "--port", "0"]
    with subprocess.Popen(
        command, env=NOTHING, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        family: list[psutil.Process] = []
        try:
            url = process.stdout.readline().split()[-1]
            family = psutil.Process(process.pid).children(recursive=True)  # the one file's server is a child
            yield process, url
        finally:
            for one in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            process.kill()


def test_a_server_runs_with_its_workers_and_writer(program: str, tmp_path: Path) -> None:
    key = json.loads(told(program, "user", "add", "a@example.org", "--plan", "pro", "--data", str(tmp_path)))["api_key"]
    with serving(program, tmp_path) as (process, url):
        for data in (pictures.phone_jpeg(), pictures.phone_png(), pictures.phone_gif(), pictures.phone_avif()):
            files = {"file": ("photo", data)}
            answer = requests.post(f"{url}/api/upload", headers=bearer(key), files=files, timeout=DEADLINE)
            assert answer.status_code == 200
            slug = answer.json()["slug"]
            for path in (f"/f/{slug}.{answer.json()['ext']}", f"/t/{slug}.webp", f"/i/{slug}"):
                assert requests.get(url + path, timeout=DEADLINE).status_code == 200
        for path in ("/", "/static/style.css", "/login", "/docs", "/openapi.json"):
            assert requests.get(url + path, timeout=DEADLINE).status_code == 200
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) > 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
        eventually(lambda: not any(one.is_running() and one.status() != "zombie" for one in family))
    assert told(program, "fsck", "--data", str(tmp_path)).startswith("4 records, 4 blobs, 0 leftovers, 0 problems")


def test_everything_in_it_is_named_with_its_licence(program: str) -> None:
    lines = told(program, "licences").splitlines()
    metadata = ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    required = [line.split()[0] for line in metadata["options"]["install_requires"].split("\n") if line]
    named = {re.sub(r"[-_.]+", "-", line.split()[0]).lower() for line in lines}
    assert {"iuserver", "python", *required} <= named
    assert all(re.fullmatch(r".+: \S.*", line) for line in lines)
    assert "GNU LESSER GENERAL PUBLIC LICENSE" in told(program, "licences", "--texts").upper()


def test_other_backends_are_in_it(program: str, tmp_path: Path) -> None:
    """They are away here; that is told in a line, and not that something is missing."""
    for variable, value in (
        ("IUSERVER_CATALOG_URL", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100"),
        ("IUSERVER_BLOBS_URL", "s3://bucket?endpoint=http://127.0.0.1:1&region=eu-central-1"),
    ):
        credentials = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        done = subprocess.run(
            [program, "serve", "--data", str(tmp_path), "--port", "0"],
            env={**NOTHING, **credentials, variable: value},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.returncode == 2
        assert re.fullmatch(r"iuserver: (catalog|blobs)\.url: [^\n]+\n", done.stderr), done.stderr
