"""The writer process: it may end at any moment, and all that costs is a 502."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from iuserver.policy import LEASE_SECONDS
from iuserver.records import Claim
from iuserver.server import StartError
from iuserver.writer.client import WriterCrash, WriterProcess
from iuserver.writer.wire import LARGEST
from tests import dying_writer, pictures
from tests.conftest import LogGuard
from tests.running import DEADLINE, Clock, RunningServer, bearer, eventually, running
from tests.surfaces.test_repair import fsck, sweep

HOUR = 3600
SECTIONS: dict[str, dict[str, Any]] = {"limits": {"api_per_minute": 0}, "imaging": {"workers": 1}}
ENDED = (
    r"^the writer process ended with -9; starting another$"
    r"|: The server cannot store anything at the moment .*writer process"
)
PROGRAM = "iuserver.writer.client.PROGRAM"


def writer_of(data: Path) -> psutil.Process | None:
    """The process that keeps a data folder, while there is one."""
    children = psutil.Process().children()
    kept = [child for child in children if f"{data}/catalog.db" in _command(child)]
    return kept[0] if kept else None


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_killed_writer_costs_502_at_most(tmp_path: Path, log_guard: LogGuard) -> None:
    log_guard.allow(ENDED)
    statuses: Counter[int] = Counter()
    stored: list[str] = []
    with running(tmp_path, **SECTIONS) as server:
        key, ended = server.new_key("pro"), threading.Event()

        def send() -> None:
            while not ended.is_set():
                answer = server.upload(key, pictures.jpeg(), expiration="forever")
                statuses[answer.status_code] += 1
                if answer.status_code == 200:
                    stored.append(answer.json()["direct_url"])

        clients = [threading.Thread(target=send) for _ in range(4)]
        for client in clients:
            client.start()
        for _ in range(5):
            enough = len(stored) + 10
            eventually(lambda: len(stored) >= enough)  # noqa: B023
            writer = eventually(lambda: writer_of(tmp_path))
            writer.kill()
            eventually(lambda: not writer.is_running())  # noqa: B023
        ended.set()
        for client in clients:
            client.join()
        assert {server.get(url).status_code for url in stored} == {200}
        used = server.get("/api/quota", key).json()["used"]
    assert set(statuses) <= {200, 502}
    assert statuses[502] <= 5 * len(clients)
    in_step(tmp_path, used)


def in_step(data: Path, records: int) -> None:
    """The books are right, and what bytes are left over go with the next sweep."""
    clock = Clock()
    clock.advance(2 * HOUR)
    sweep(data, clock)
    lines, (found, blobs, leftovers, problems) = fsck(data, clock)
    assert (lines, found, blobs, leftovers, problems) == ([], records, records, 0, 0)


@pytest.mark.parametrize(
    ("moment", "step", "stored"),
    [
        ("before", "put", 0),
        ("before", "sync", 0),
        ("after", "sync", 0),
        ("after", "put", 0),
        ("before", "commit", 0),
        ("after", "commit", 1),
    ],
)
def test_an_upload_whose_writer_dies_is_told_so_and_may_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_guard: LogGuard, moment: str, step: str, stored: int
) -> None:
    log_guard.allow(ENDED)
    monkeypatch.setattr(PROGRAM, "tests.dying_writer")
    dying_writer.doom(tmp_path, "writer", moment, step)
    with running(tmp_path, **SECTIONS) as server:
        key = server.new_key("pro")
        used = lambda: server.get("/api/quota", key).json()["used"]  # noqa: E731
        told = repeated(server, key)
        assert (told.status_code, told.json()["code"]) == (502, "storage_unavailable")
        assert used() == stored
        server.clock.advance(LEASE_SECONDS + 1)  # where the first one was not stored, its key is held as if it might be
        again = repeated(server, key)
        assert again.status_code == 200
        assert server.get(again.json()["direct_url"]).status_code == 200
        assert used() == 1, "whether the first one was stored after all or not"
    in_step(tmp_path, 1)


def repeated(server: RunningServer, key: str) -> requests.Response:
    """The same upload, with the same idempotency key, each time; forever, as a sweep is to come."""
    return requests.post(
        f"{server.url}/api/upload",
        headers={**bearer(key), "Idempotency-Key": "one-and-only"},
        files={"file": ("photo.jpg", pictures.jpeg())},
        data={"expiration": "forever"},
        timeout=DEADLINE,
    )


def test_a_writer_that_cannot_start_is_told_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PROGRAM, "tests.no_such_writer")
    with pytest.raises(StartError, match=r"^server\.data: .* cannot start"), running(tmp_path, **SECTIONS):
        pass


def test_more_questions_than_fit_into_its_socket_wait_for_it(tmp_path: Path) -> None:
    async def work() -> None:
        writer = WriterProcess(tmp_path / "catalog.db", None, sync=True)
        await writer.start()
        os.kill(writer.pid, signal.SIGSTOP)
        asked = [
            asyncio.ensure_future(writer.ask("catalog", "free_key", "a", Claim("k" * 200, "t"))) for _ in range(2000)
        ]
        await asyncio.sleep(0)
        assert not any(answer.done() for answer in asked)
        os.kill(writer.pid, signal.SIGCONT)
        assert set(await asyncio.wait_for(asyncio.gather(*asked), DEADLINE)) == {None}
        await writer.close()

    asyncio.run(work())


def test_a_bug_in_the_writer_is_told_as_one_and_ends_it_as_little_as_sigterm(tmp_path: Path) -> None:
    async def work() -> None:
        writer = WriterProcess(tmp_path / "catalog.db", None, sync=True)
        await writer.start()
        with pytest.raises(WriterCrash, match="no_such_thing"):
            await writer.ask("catalog", "no_such_thing")
        with pytest.raises(ValueError, match="bytes"):
            await writer.ask("catalog", "free_key", "a", Claim("k" * LARGEST, "t"))
        os.kill(writer.pid, signal.SIGTERM)
        assert await writer.ask("catalog", "purge_keys", 0, 1) == 0, "it goes on"
        await writer.close()

    asyncio.run(work())
