"""A worker that has been taken over by what it parsed: it is found out, and costs nobody else an upload."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from iuserver.imaging.pool import Pool
from iuserver.server import StartError
from tests import pictures
from tests.conftest import LogGuard
from tests.rogue_worker import MISDEEDS
from tests.running import RunningServer, eventually, running

LIMITS = {"api_per_minute": 0}
HARMLESS = {"a crash", "open", "stderr", "without a job", "hang"}
FOUND_OUT = r"^worker \d+ answered what no worker does: "
KILLED = r"^worker \d+ ended with -9; replacing it"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose workers take orders to misbehave."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("iuserver.imaging.pool.PROGRAM", "tests.rogue_worker")
        with running(tmp_path_factory.mktemp("data"), limits=LIMITS, imaging={"workers": 1}) as server:
            yield server


@pytest.fixture
def pool(server: RunningServer) -> Pool:
    """The server's pool, whole."""
    pool = server.server._services.uploads.imaging
    eventually(lambda: len(pool.idle_pids) == 2)
    return pool


@pytest.fixture
def order(server: RunningServer, pool: Pool, log_guard: LogGuard) -> Iterator[Path]:
    """Where a misdeed is ordered."""
    log_guard.allow(KILLED)
    log_guard.allow(FOUND_OUT)
    yield server.data / "rogue"
    eventually(lambda: len(pool.idle_pids) == 2)
    assert server.files("spool") == []


def rogue(pool: Pool, order: Path, misdeed: str, position: int = -1) -> int:
    """Have a worker replaced by one that misbehaves, the next one to get a job."""
    order.write_text(misdeed)
    old = pool.idle_pids[position]
    psutil.Process(old).kill()
    eventually(lambda: not order.exists() and len(pool.idle_pids) == 2 and old not in pool.idle_pids)
    return pool.idle_pids[-1]


@pytest.mark.parametrize("misdeed", sorted(MISDEEDS.keys() - HARMLESS))
def test_a_worker_that_answers_what_none_does_is_killed_alone(
    server: RunningServer, pool: Pool, order: Path, misdeed: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its job is another worker's: the picture is stored and told as what it is."""
    culprit = rogue(pool, order, misdeed)
    (honest,) = set(pool.pids) - {culprit}
    key, before = server.new_key("pro"), psutil.Process().memory_info().rss
    answer = server.upload(key, pictures.jpeg())
    assert answer.status_code == 200
    assert (answer.json()["mime"], answer.json()["width"]) == ("image/jpeg", pictures.noise().width)
    assert server.get(answer.json()["direct_url"]).status_code == 200
    eventually(lambda: culprit not in pool.pids and len(pool.idle_pids) == 2)
    assert honest in pool.pids
    assert sum(bool(re.search(FOUND_OUT, line)) for line in caplog.messages) == 1
    assert psutil.Process().memory_info().rss - before < 64 << 20
    assert server.get("/api/quota", key).json()["used"] == 1


def test_an_answer_without_a_job_kills_its_worker_alone(server: RunningServer, pool: Pool, order: Path) -> None:
    culprit = rogue(pool, order, "without a job")
    (honest,) = set(pool.pids) - {culprit}
    assert server.upload(server.new_key(), pictures.jpeg()).status_code == 200
    eventually(lambda: culprit not in pool.pids and len(pool.idle_pids) == 2)
    assert honest in pool.pids


def test_a_crash_is_logged_without_control_characters(
    server: RunningServer, pool: Pool, order: Path, log_guard: LogGuard, caplog: pytest.LogCaptureFixture
) -> None:
    log_guard.allow("")
    rogue(pool, order, "a crash")
    answer = server.upload(server.new_key(), pictures.jpeg())
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "\x1b" not in caplog.text
    assert re.search(r"^  2026-01-01T00:00:00Z INFO forged$", caplog.text, re.MULTILINE)


@pytest.mark.parametrize("size", [(24, 16), (400, 300)])
def test_a_picture_that_a_worker_can_still_change_is_not_stored(
    server: RunningServer, pool: Pool, order: Path, size: tuple[int, int], log_guard: LogGuard
) -> None:
    """Small ones come to it in memory, large ones as a file."""
    log_guard.allow("^a worker could still change a picture|: The server could not store the image safely")
    key, before, pids = server.new_key("pro"), server.files("blobs"), set(pool.pids)
    pids.add(rogue(pool, order, "open"))
    picture = pictures.phone_jpeg(image=pictures.noise(*size))
    answer = server.upload(key, picture)
    assert (answer.status_code, answer.json()["code"]) == (502, "storage_unavailable")
    assert answer.json()["error"] == "The server could not store the image safely; send it again"
    assert server.get("/api/quota", key).json()["used"] == 0
    assert server.files("blobs") == before
    eventually(lambda: len(pool.idle_pids) == 2)
    assert not pids & set(pool.pids), "any of them may have had it open"
    assert server.upload(key, picture).status_code == 200


def test_a_picture_that_has_changed_since_it_was_judged_is_not_stored(
    server: RunningServer, pool: Pool, order: Path, monkeypatch: pytest.MonkeyPatch, log_guard: LogGuard
) -> None:
    log_guard.allow("^a worker could still change a picture|: The server could not store the image safely")
    key, before, pids = server.new_key("pro"), server.files("blobs"), set(pool.pids)
    uploads = server.server._services.uploads

    async def grow(path: str) -> None:
        os.truncate(path, 100_000)

    check, _ = uploads.check_blocked, object.__setattr__(uploads, "check_blocked", grow)
    try:
        answer = server.upload(key, pictures.jpeg())
    finally:
        object.__setattr__(uploads, "check_blocked", check)
    assert (answer.status_code, answer.json()["code"]) == (502, "storage_unavailable")
    assert server.get("/api/quota", key).json()["used"] == 0
    assert server.files("blobs") == before
    eventually(lambda: len(pool.idle_pids) == 2 and not pids & set(pool.pids))


def test_a_job_whose_workers_are_killed_twice_is_overloaded(
    server: RunningServer, pool: Pool, order: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = server.new_key("pro")
    assert server.upload(key, pictures.jpeg()).status_code == 200, "no worker has died since a job was done"
    monkeypatch.setattr(pool, "deadline", 60)
    for _ in range(2):
        rogue(pool, order, "hang", position=0)
    with ThreadPoolExecutor(1) as thread:
        upload = thread.submit(server.upload, key, pictures.jpeg())
        for _ in range(2):
            [hung] = eventually(lambda: list((server.data / "spool").glob("*.hung")))
            hung.unlink()
            psutil.Process(pool.busy_pids[0]).kill()
        assert (upload.result().status_code, upload.result().json()["code"]) == (503, "overloaded")
    eventually(lambda: len(pool.idle_pids) == 2)
    assert server.upload(key, pictures.jpeg()).status_code == 200


def test_what_a_worker_writes_to_standard_error_is_bounded_and_escaped(
    server: RunningServer, pool: Pool, order: Path, log_guard: LogGuard, caplog: pytest.LogCaptureFixture
) -> None:
    """It has a pipe there, and no file of the server's; a megabyte is read as it comes, and hardly any is logged."""
    log_guard.allow(r"^worker \d+ wrote")
    caplog.set_level(logging.INFO)
    culprit = rogue(pool, order, "stderr")
    assert os.readlink(f"/proc/{culprit}/fd/2").startswith("pipe:")
    assert server.upload(server.new_key(), pictures.jpeg()).status_code == 200
    assert culprit in pool.pids
    wrote = [line for line in caplog.messages if line.startswith(f"worker {culprit} wrote")]
    assert wrote[0].endswith(r"wrote: one\x1b[31m\r")
    assert wrote[1].endswith(r"wrote: INFO forged\x9b")
    assert sum(map(len, wrote)) < 100_000
    assert all(line.isprintable() for line in wrote)


def test_why_a_worker_cannot_start_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, log_guard: LogGuard
) -> None:
    log_guard.allow(r"^worker \d+ wrote: .*No module named")
    monkeypatch.setattr("iuserver.imaging.pool.PROGRAM", "tests.no_such_worker")
    with pytest.raises(StartError, match="cannot start"), running(tmp_path, imaging={"workers": 1}):
        pass
    assert "No module named tests.no_such_worker" in caplog.text
