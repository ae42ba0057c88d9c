"""Workers that hang, die or are killed: one job at most suffers, and the pool is whole again."""

from __future__ import annotations

import io
import os
import random
import re
import shutil
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from iuserver.imaging.pool import Pool
from tests import pictures
from tests.conftest import LogGuard
from tests.pictures import SECRET
from tests.running import RunningServer, eventually, running
from tests.unit.test_jpeg import damage

WORKERS = 2


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running(tmp_path_factory.mktemp("data"), limits={"api_per_minute": 0}, imaging={"workers": WORKERS}) as server:
        yield server


@pytest.fixture
def pool(server: RunningServer) -> Pool:
    """The server's pool, whole."""
    pool = server.server._services.uploads.imaging
    eventually(lambda: len(pool.idle_pids) == WORKERS + 1)
    return pool


@pytest.fixture
def key(server: RunningServer) -> str:
    return server.new_key("business")


def test_a_worker_that_is_killed_from_outside_costs_no_upload(
    server: RunningServer, pool: Pool, key: str, log_guard: LogGuard
) -> None:
    log_guard.allow(r"^worker \d+ ended with -9")
    for _ in range(3):
        for pid in pool.pids:
            os.kill(pid, signal.SIGKILL)
        assert server.upload(key, pictures.jpeg()).status_code == 200
        eventually(lambda: len(pool.idle_pids) == WORKERS + 1)


def test_workers_that_die_before_they_read_their_order_count_as_no_try(
    server: RunningServer, pool: Pool, key: str, log_guard: LogGuard
) -> None:
    log_guard.allow(r"^worker \d+ ended with -9")
    for pid in pool.pids:
        os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as thread:
        uploading = thread.submit(server.upload, key, pictures.jpeg())
        for _ in range(WORKERS + 1):
            [pid] = eventually(lambda: pool.busy_pids)
            os.kill(pid, signal.SIGKILL)
            eventually(lambda pid=pid: pid not in pool.pids)
        assert uploading.result().status_code == 200
    eventually(lambda: len(pool.idle_pids) == WORKERS + 1)


def test_workers_killed_in_turn_under_load_cost_no_upload(
    server: RunningServer, pool: Pool, key: str, log_guard: LogGuard
) -> None:
    log_guard.allow(r"^worker \d+ ended with -9")
    stop = threading.Event()
    picture = pictures.phone_jpeg(image=pictures.noise(500, 400))

    def client(_: int) -> Counter[int]:
        answers: Counter[int] = Counter()
        while not stop.is_set():
            answers[server.upload(key, picture).status_code] += 1
        return answers

    with ThreadPoolExecutor(8) as threads:
        clients = [threads.submit(client, number) for number in range(8)]
        for _ in range(6):
            os.kill(eventually(lambda: pool.busy_pids)[0], signal.SIGKILL)
            eventually(lambda: len(pool.pids) == WORKERS + 1)
        stop.set()
    answers = sum((client.result() for client in clients), Counter())
    assert set(answers) <= {200, 503}
    assert answers[503] <= 6
    assert server.files("spool") == []


def test_a_worker_that_is_dead_but_not_gone_gets_no_job(
    server: RunningServer, pool: Pool, key: str, log_guard: LogGuard
) -> None:
    """Between the end of its socket and that of its process, with many uploads at that very moment."""
    log_guard.allow(r"^worker \d+ ended with -9")
    with ThreadPoolExecutor(4) as threads:
        for _ in range(15):
            for pid in pool.pids:
                os.kill(pid, signal.SIGKILL)
            uploads = [threads.submit(server.upload, key, pictures.jpeg()) for _ in range(4)]
            assert {upload.result().status_code for upload in uploads} <= {200, 503}
            eventually(lambda: len(pool.idle_pids) == WORKERS + 1)
    assert server.files("spool") == []


def test_a_job_that_hangs_is_cut_off_while_others_go_on(
    server: RunningServer, pool: Pool, key: str, log_guard: LogGuard
) -> None:
    log_guard.allow(r"^worker \d+ ended with -9")
    stopped = pool.idle_pids[-1]
    os.kill(stopped, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as threads:
        hanging = threads.submit(server.upload, key, pictures.jpeg())
        eventually(lambda: stopped not in pool.idle_pids)
        assert server.upload(key, pictures.jpeg()).status_code == 200
        assert not hanging.done()
        assert (hanging.result().status_code, hanging.result().json()["code"]) == (400, "broken_image")
    eventually(lambda: len(pool.idle_pids) == WORKERS + 1)
    assert stopped not in pool.pids


def test_a_picture_that_crashes_its_parser_is_to_blame_itself(
    server: RunningServer, pool: Pool, key: str, log_guard: LogGuard
) -> None:
    log_guard.allow(r"^worker \d+ ended with -11")
    with ThreadPoolExecutor(1) as threads:
        victim = pool.idle_pids[-1]
        os.kill(victim, signal.SIGSTOP)
        upload = threads.submit(server.upload, key, pictures.jpeg())
        eventually(lambda: victim not in pool.idle_pids)
        os.kill(victim, signal.SIGSEGV)
        os.kill(victim, signal.SIGCONT)
        assert (upload.result().status_code, upload.result().json()["code"]) == (400, "broken_image")
    assert server.upload(key, pictures.jpeg()).status_code == 200


@pytest.fixture
def lonely(tmp_path: Path, log_guard: LogGuard) -> Iterator[RunningServer]:
    """A server of its own with one worker and one in reserve, that may lose them."""
    log_guard.allow(r"^worker \d+ ended with -(9|11)")
    log_guard.allow(r"^a worker could not be started: ")
    log_guard.allow(r"^\d+ workers in a row died|^a worker is ready; uploads are taken")
    with running(tmp_path, limits={"api_per_minute": 0}, imaging={"workers": 1}) as server:
        yield server


def test_while_no_worker_can_be_started_uploads_are_refused_at_once(
    lonely: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, key = lonely.server._services.uploads.imaging, lonely.new_key("business")
    assert pool.healthy
    for pid in pool.pids:
        os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(lonely.upload, key, pictures.jpeg()) for _ in range(2)]
        eventually(lambda: len(pool._waiting) == 1)
        monkeypatch.setattr(sys, "executable", shutil.which("false"))
        for pid in pool.pids:
            os.kill(pid, signal.SIGKILL)
        assert [upload.result().json()["code"] for upload in waiting] == ["overloaded"] * 2
    assert not pool.healthy
    refused = lonely.upload(key, pictures.jpeg())
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert int(refused.headers["Retry-After"]) > 0
    monkeypatch.undo()
    eventually(lambda: pool.healthy)
    assert lonely.upload(key, pictures.jpeg()).status_code == 200
    assert lonely.files("spool") == []


def test_deaths_in_a_row_count_until_a_job_is_done(lonely: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    pool, key = lonely.server._services.uploads.imaging, lonely.new_key("business")

    def kill_one() -> int:
        """Kill an idle worker, and tell how often uploads were refused so far."""
        victim = pool.idle_pids[-1]
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: victim not in pool.pids and len(pool.idle_pids) == 2 and pool.healthy)
        return sum("workers in a row died" in line for line in caplog.messages)

    assert [kill_one() for _ in range(3)] == [0] * 3
    assert lonely.upload(key, pictures.jpeg()).status_code == 200
    assert [kill_one() for _ in range(7)] == [0, 0, 0, 0, 0, 1, 2]
    assert lonely.upload(key, pictures.jpeg()).status_code == 200
    assert kill_one() == 2


def test_uploads_are_refused_when_picture_after_picture_crashes_its_worker(
    lonely: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, key = lonely.server._services.uploads.imaging, lonely.new_key("business")
    with ThreadPoolExecutor(1) as threads:
        for more in range(5, -1, -1):
            assert pool.healthy
            eventually(lambda: len(pool.idle_pids) == 2)
            victim = pool.idle_pids[-1]
            os.kill(victim, signal.SIGSTOP)
            upload = threads.submit(lonely.upload, key, pictures.jpeg())
            eventually(lambda victim=victim: victim in pool.busy_pids)
            if not more:
                monkeypatch.setattr(sys, "executable", shutil.which("false"))
            os.kill(victim, signal.SIGSEGV)
            os.kill(victim, signal.SIGCONT)
            assert upload.result().json()["code"] == "broken_image"
    assert not pool.healthy
    assert lonely.upload(key, pictures.jpeg()).status_code == 503
    monkeypatch.undo()
    eventually(lambda: pool.healthy)
    assert lonely.upload(key, pictures.jpeg()).status_code == 200


def test_workers_are_recycled_without_a_pause(
    server: RunningServer, pool: Pool, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iuserver.imaging.pool.RECYCLE_AFTER", 3)
    before = set(pool.pids)
    for _ in range(20):
        assert server.upload(key, pictures.jpeg()).status_code == 200
    eventually(lambda: before - set(pool.pids) and len(pool.pids) == WORKERS + 1)


def test_a_worker_holds_nothing_of_the_server_but_its_socket_and_its_slot(pool: Pool) -> None:
    for pid in pool.pids:
        files = {link.name: os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
        assert files.pop("0").startswith("socket:")
        assert files.pop("1") == "/dev/null"
        assert files.pop("2").startswith("pipe:")
        ((number, buffer),) = files.items()
        assert buffer.startswith("/memfd:buffer")
        flags = re.search(r"^flags:\t(\d+)$", Path(f"/proc/{pid}/fdinfo/{number}").read_text(), re.MULTILINE)
        assert flags
        assert int(flags[1], 8) & os.O_ACCMODE == os.O_RDONLY
        limits = Path(f"/proc/{pid}/limits").read_text()
        for name, value in {"Max core file size": 0, "Max open files": 64, "Max data size": 512 << 20}.items():
            assert f"{name:25} {value}" in limits


def made_pictures() -> dict[str, bytes]:
    """One of each kind, with secrets wherever it can have any."""
    small = pictures.noise(24, 16)
    return {
        "jpeg": pictures.phone_jpeg(image=small),
        "progressive jpeg": pictures.phone_jpeg(image=small, progressive=True),
        "png": pictures.phone_png(image=small),
        "apng": pictures.apng(2),
        "gif": pictures.phone_gif(),
        "webp": pictures.phone_webp(),
        "animated webp": pictures.phone_webp(frames=2),
        "avif": pictures.phone_avif(),
        "avif sequence": pictures.phone_avif(frames=2),
    }


MADE = made_pictures()


@pytest.mark.parametrize("kind", MADE)
def test_damaged_pictures_are_cleaned_or_refused_over_http(server: RunningServer, pool: Pool, kind: str) -> None:
    """Never a 500, a lost worker or a planted secret, whatever is cut, flipped, doubled or spliced in."""
    key = server.new_key("business")
    pids = set(pool.pids)
    assert SECRET in MADE[kind] or kind == "apng"

    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.data())
    def upload_damaged(data: st.DataObject) -> None:
        spliced = data.draw(st.sampled_from(sorted(MADE)))
        whole = MADE[kind] if spliced == kind else splice(data, MADE[kind], MADE[spliced])
        response = server.upload(key, damage(data, whole))
        assert response.status_code in (200, 400, 413, 415), response.text
        if response.status_code == 200:
            link = response.json()["direct_url"]
            stored = server.get(link).content
            again = server.upload(key, stored)
            assert again.status_code == 200
            assert server.get(again.json()["direct_url"]).content == stored

    upload_damaged()
    assert set(pool.pids) == pids


def splice(data: st.DataObject, one: bytes, other: bytes) -> bytes:
    """The beginning of one file and the end of another."""
    return one[: data.draw(st.integers(16, len(one)))] + other[data.draw(st.integers(0, len(other))) :]


@pytest.mark.parametrize("kind", MADE)
def test_no_secret_is_stored_and_the_pixels_are_the_same(server: RunningServer, key: str, kind: str) -> None:
    answer = server.upload(key, MADE[kind])
    stored = server.get(answer.json()["direct_url"]).content
    assert SECRET not in stored
    assert set(pictures.metadata(stored)) <= {"Orientation"}
    assert pictures.pixels(stored) == pictures.pixels(MADE[kind])


def test_baking_turns_the_pixels_and_leaves_no_orientation(tmp_path: Path) -> None:
    upright = pictures.striped()
    with running(tmp_path, imaging={"workers": 1, "orientation": "bake"}, limits={"api_per_minute": 0}) as server:
        key = server.new_key("pro")
        for make in (pictures.phone_jpeg, pictures.phone_png):
            for orientation in range(1, 9):
                answer = server.upload(key, make(orientation, pictures.turned(upright, orientation))).json()
                stored = server.get(answer["direct_url"]).content
                assert (answer["width"], answer["height"]) == upright.size
                assert pictures.metadata(stored) == {}
                assert SECRET not in stored
                assert pictures.looks_like(stored, upright)


def test_baking_turns_what_browsers_turn_and_nothing_else(tmp_path: Path) -> None:
    upright = pictures.striped()
    plain = pictures.jpeg(pictures.turned(upright, 6))
    short, long = pictures.orientation_tiff(6), pictures.orientation_tiff(6, 4)
    with running(tmp_path, imaging={"workers": 1, "orientation": "bake"}, limits={"api_per_minute": 0}) as server:
        key = server.new_key("pro")

        def stored(data: bytes) -> tuple[tuple[int, int], bytes]:
            answer = server.upload(key, data).json()
            return (answer["width"], answer["height"]), server.get(answer["direct_url"]).content

        size, baked = stored(plain[:2] + pictures.segment(0xE1, b"Exif\0\xff" + short) + plain[2:])
        assert size == upright.size
        assert pictures.looks_like(baked, upright)
        for as_it_is in (plain[:2] + pictures.segment(0xE1, b"Exif\0\0" + long) + plain[2:], pictures.phone_webp(6)):
            size, kept = stored(as_it_is)
            assert size == Image.open(io.BytesIO(as_it_is)).size
            assert pictures.metadata(kept) == {"Orientation": 6}
            assert pictures.pixels(kept) == pictures.pixels(as_it_is)


@pytest.mark.parametrize("side", [40, 700])
def test_a_jpeg_whose_end_is_in_doubt_is_looked_at_by_a_confined_worker(
    server: RunningServer, key: str, side: int
) -> None:
    """Once in memory and once from a file."""
    whole = pictures.jpeg(pictures.noise(side, side))
    panorama = whole[:-2] + pictures.samsung_trailer(SECRET, pictures.video(5000))
    for data in (whole[:-2], panorama, whole + SECRET):
        answer = server.upload(key, data)
        assert answer.status_code == 200, answer.text
        assert server.get(answer.json()["direct_url"]).content == whole
    refused = server.upload(key, whole[: len(whole) // 2])
    assert refused.status_code == 400
    assert "it is cut short: the end of its picture data is missing" in refused.text


def test_a_picture_too_large_to_be_baked_keeps_its_orientation(tmp_path: Path) -> None:
    imaging = {"workers": 1, "orientation": "bake", "max_decode_pixels": 48 * 32 - 1}
    with running(tmp_path, imaging=imaging) as server:
        answer = server.upload(server.new_key(), pictures.phone_jpeg(6, pictures.noise(48, 32))).json()
        assert pictures.metadata(server.get(answer["direct_url"]).content) == {"Orientation": 6}
        assert (answer["width"], answer["height"]) == (32, 48)


def test_random_bytes_are_no_picture(server: RunningServer, key: str) -> None:
    for seed in range(20):
        assert server.upload(key, random.Random(seed).randbytes(500)).status_code == 415
