"""A MongoDB server of the tests' own: SecantusDB, which keeps what it acknowledges and has transactions.

TEST_MONGODB_URI points the tests at another one, a real mongod for instance, in which they make databases and drop
them; what kills the server keeps to its own.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pymongo
import pytest

from tests.backends import DATABASES, with_database
from tests.running import eventually

PROGRAM = Path(__file__).parents[1] / ".venv/services/bin/secantusd-py"


class MongoServer:
    """A server process on a folder and a port that stay the same when it is killed and started anew."""

    def __init__(self, folder: Path) -> None:
        if not PROGRAM.exists():
            pytest.fail(f"there is no {PROGRAM.name} to test with: `make test` installs it", pytrace=False)
        self._folder = folder
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"mongodb://{self.address}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        arguments = [str(PROGRAM), "--sync-on-commit", "--port", str(self._port), "--log-level", "ERROR"]
        arguments += ["--storage-path", str(self._folder / "data"), "--cache-size", "128M"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(arguments, cwd=self._folder, stdout=log, stderr=log)
        eventually(self._listens)

    def kill(self) -> None:
        """kill -9."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        assert self._process
        if self._process.poll() is not None:
            pytest.fail(f"the MongoDB server has ended: {(self._folder / 'log').read_text()}", pytrace=False)
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
            return True
        return False


@contextlib.contextmanager
def mongo_server(folder: Path) -> Iterator[MongoServer]:
    """A server that runs until the end of the block."""
    server = MongoServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def mongo_url(folder: Path) -> Iterator[str]:
    """The URL of the server that TEST_MONGODB_URI names, or of one that is started for it."""
    given = os.environ.get("TEST_MONGODB_URI")
    if given:
        yield given
        _drop_databases(given)
    else:
        with mongo_server(folder) as server:
            yield server.url


def new_database(url: str) -> str:
    """The URL of a database on a server that nobody has used yet."""
    return with_database(url, f"{DATABASES}{secrets.token_hex(6)}")


def _drop_databases(url: str) -> None:
    """Leave a server that is not ours as it was."""
    with pymongo.MongoClient(url) as client:
        for name in client.list_database_names():
            if name.startswith(DATABASES):
                client.drop_database(name)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
