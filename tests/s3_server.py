"""An S3 server that the tests start, kill and start again; or the one that TEST_S3_ENDPOINT names."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from iuserver.blobs.s3 import S3Blobs
from iuserver.settings import s3_location
from tests.running import eventually

SERVICES = Path(__file__).parents[1] / ".venv/services/bin"
MOTO = Path(__file__).parents[1] / ".venv/moto/bin"
BUCKET = "iuserver-test"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret", "AWS_EC2_METADATA_DISABLED": "true"}
_prefixes = itertools.count()


class S3Server:
    """A server with a bucket, on a port of its own that stays the same from start to start."""

    def __init__(self, command: list[str | Path], environ: dict[str, str], log: Path, port: int) -> None:
        self._command = command
        self._environ = environ
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.endpoint = f"http://127.0.0.1:{port}"

    @classmethod
    def ministack(cls, folder: Path) -> S3Server:
        """Keeps its objects in `folder`, also when it is killed."""
        port = free_port()
        environ = {"SERVICES": "s3", "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)}
        environ |= {"S3_PERSIST": "1", "S3_DATA_DIR": str(folder / "objects")}
        return cls([_program(SERVICES / "ministack", "make test")], environ, folder / "log", port)

    @classmethod
    def moto(cls, folder: Path) -> S3Server:
        """Another one, of other authors; it keeps its objects in memory."""
        port = free_port()
        command = [_program(MOTO / "moto_server", "make test-slow"), "--host", "127.0.0.1", "--port", str(port)]
        return cls(command, {}, folder / "log", port)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("ab") as log:
            environ = {**os.environ, **self._environ}
            self._process = subprocess.Popen(self._command, env=environ, stdout=log, stderr=log)
        eventually(self._answers)

    def kill(self) -> None:
        """End it without a warning, as kill -9 does."""
        if self._process:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        assert self._process
        assert self._process.poll() is None, f"the S3 server has ended:\n{self._log.read_text()}"
        try:
            return requests.get(self.endpoint, timeout=5).status_code < 500
        except requests.ConnectionError:
            return False


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port: int = probe.getsockname()[1]
        return port


def _program(path: Path, target: str) -> Path:
    assert path.exists(), f"{path} is missing: `{target}` installs it"
    return path


def location(endpoint: str) -> str:
    """A blobs URL for one test: an own prefix of the tests' bucket."""
    return f"s3://{BUCKET}/{os.getpid()}-{next(_prefixes)}?endpoint={endpoint}&region={_region()}"


def _region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


async def connected(url: str) -> S3Blobs:
    """The store of a blobs URL."""
    at = s3_location(url)
    return await S3Blobs.connect(at.bucket, at.prefix, at.endpoint, at.region)


def make_bucket(endpoint: str) -> None:
    """Make the tests' bucket, if it is not there."""
    asyncio.run(_make_bucket(endpoint))


async def _make_bucket(endpoint: str) -> None:
    import aioboto3
    from botocore.exceptions import ClientError

    region = _region()
    parameters: dict[str, Any] = {"Bucket": BUCKET}
    if region != "us-east-1":
        parameters["CreateBucketConfiguration"] = {"LocationConstraint": region}
    async with aioboto3.Session(region_name=region).client("s3", endpoint_url=endpoint) as client:
        try:
            await client.create_bucket(**parameters)
        except ClientError as error:
            if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":
                raise


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the tests' bucket is."""
    if given := os.environ.get("TEST_S3_ENDPOINT"):
        make_bucket(given)
        yield given
        return
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        server = S3Server.ministack(tmp_path_factory.mktemp("s3"))
        server.start()
        try:
            make_bucket(server.endpoint)
            yield server.endpoint
        finally:
            server.kill()


@pytest.fixture
def s3_url(s3_endpoint: str) -> str:
    """A blobs URL with nothing behind it yet."""
    return location(s3_endpoint)


@pytest.fixture
def own_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """A server that a test may kill."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "own-s3").mkdir()
    server = S3Server.ministack(tmp_path / "own-s3")
    server.start()
    try:
        make_bucket(server.endpoint)
        yield server
    finally:
        server.kill()
