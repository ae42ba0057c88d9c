"""Servers over MongoDB and S3 together: shared by two, killed themselves, and with what they need killed under load."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from iuserver.server import janitor_of
from tests import pictures
from tests.clients_at_work import ClientsAtWork
from tests.conftest import LogGuard
from tests.mongo_server import mongo_server
from tests.running import DEADLINE, RunningServer, bearer, eventually, running
from tests.s3_server import S3Server, location
from tests.surfaces.test_cli import ROOT

pytestmark = pytest.mark.slow

CLIENTS = 8
HOUR = 3600
BACK_SECONDS = 5
AWAY_LINES = r"^request \w+: The (catalog|image store) is not available|^MongoClient background task"


@pytest.fixture
def sections(mongo_database: str, s3_url: str) -> dict[str, Any]:
    return sections_of(mongo_database, s3_url)


def sections_of(catalog: str, blobs: str) -> dict[str, Any]:
    urls = {"catalog": {"url": catalog}, "blobs": {"url": blobs}}
    return {**urls, "limits": {"api_per_minute": 0}, "imaging": {"workers": 1}}


def settled(server: RunningServer) -> tuple[int, int, int, int]:
    """What fsck counts after the janitor has been at it, two hours later: records, blobs, leftovers, problems."""
    told: list[str] = []
    services = server.server._services
    janitor = janitor_of(services.library, server.data, serving=lambda: True)
    server.clock.advance(2 * HOUR)

    async def sweep_and_check() -> Any:
        await janitor.sweep()
        return await janitor.check(told.append)

    check = server.call(sweep_and_check())
    assert told == []
    return check.records, check.blobs, check.leftovers, check.problems


def test_64_uploads_at_once_through_two_servers_get_the_ten_places_of_a_month(
    tmp_path: Path, sections: dict[str, Any]
) -> None:
    with running(tmp_path / "one", **sections) as one, running(tmp_path / "two", **sections) as two:
        key, picture = one.new_key("free"), pictures.jpeg()
        with ThreadPoolExecutor(32) as threads:
            answers = list(threads.map(lambda number: (one, two)[number % 2].upload(key, picture), range(64)))
        assert Counter(answer.status_code for answer in answers) == {200: 10, 429: 54}
        assert settled(one) == (10, 10, 0, 0)


class Load(ClientsAtWork):
    """Clients that upload without a pause, and what they were told."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self._key = server.new_key("pro")
        self._picture = pictures.phone_jpeg()
        self.stored: list[str] = []
        self.answers: Counter[str] = Counter()
        super().__init__(CLIENTS)

    def _run(self) -> None:
        while not self._ended.is_set():
            answer = self._server.upload(self._key, self._picture, expiration="forever")
            if answer.status_code == 200:
                self.stored.append(answer.json()["direct_url"])
            self.answers["stored" if answer.ok else answer.json()["code"]] += 1

    def goes_on(self) -> None:
        """Wait for some more uploads."""
        enough = len(self.stored) + 2 * CLIENTS
        eventually(lambda: len(self.stored) >= enough, 60)

    def is_back(self) -> float:
        """Seconds until an upload succeeds again."""
        since, before = time.monotonic(), len(self.stored)
        eventually(lambda: len(self.stored) > before, 60)
        return time.monotonic() - since


def test_a_database_and_a_store_that_are_killed_under_load_lose_nothing(
    tmp_path: Path, own_s3: S3Server, log_guard: LogGuard
) -> None:
    log_guard.allow(AWAY_LINES)
    log_guard.allow("^Task exception was never retrieved")  # aiohttp's own, for a connection that was cut while it sent
    with (
        mongo_server(tmp_path / "mongo") as mongo,
        running(tmp_path / "data", **sections_of(mongo.url, location(own_s3.endpoint))) as server,
    ):
        load = Load(server)
        with load.on():
            for dependency in (mongo, own_s3, mongo, own_s3):
                load.goes_on()
                dependency.kill()
                refused = load.answers["storage_unavailable"]
                eventually(lambda: load.answers["storage_unavailable"] > refused)  # noqa: B023
                dependency.start()
                assert load.is_back() < BACK_SECONDS
            load.goes_on()
        assert set(load.answers) == {"stored", "storage_unavailable"}
        assert all(requests.get(url, timeout=DEADLINE).status_code == 200 for url in load.stored)
        records, blobs, leftovers, problems = settled(server)
        assert (blobs, leftovers, problems) == (records, 0, 0)
        assert records >= len(load.stored), "a commit whose answer was lost may have happened"
        print(f"{dict(load.answers)}, {records} records")


@pytest.mark.parametrize(
    ("moment", "step", "stored"),
    [
        ("before", "submit", 0),
        ("after", "submit", 0),
        ("before", "put on S3", 0),
        ("after", "put on S3", 0),
        ("before", "commit in MongoDB", 0),
        ("after", "commit in MongoDB", 1),
    ],
)
def test_a_server_killed_between_two_steps_of_an_upload_leaves_nothing_that_is_not_settled(
    tmp_path: Path, sections: dict[str, Any], moment: str, step: str, stored: int
) -> None:
    with running(tmp_path, **sections) as server:
        key = server.new_key("pro")
        server.upload(key, pictures.jpeg())
    environ = {
        name: sections[name.split("_")[1].lower()]["url"] for name in ("IUSERVER_CATALOG_URL", "IUSERVER_BLOBS_URL")
    }
    program = [sys.executable, "-m", "tests.dying_server", moment, step]
    arguments = [*program, "serve", "--data", str(tmp_path), "--port", "0"]
    with subprocess.Popen(
        arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, **environ}
    ) as dying:
        assert dying.stdout
        url = dying.stdout.readline().split()[-1]
        files = {"file": ("photo.jpg", pictures.jpeg())}
        with pytest.raises(requests.RequestException):
            requests.post(f"{url}/api/upload", headers=bearer(key), files=files, timeout=DEADLINE)
        assert dying.wait(DEADLINE) == -9
    with running(tmp_path, **sections) as server:
        assert settled(server) == (1 + stored, 1 + stored, 0, 0)
        assert server.get("/api/quota", key).json()["used"] == 1 + stored
        assert server.upload(key, pictures.jpeg()).status_code == 200
