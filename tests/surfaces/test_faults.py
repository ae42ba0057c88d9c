"""A disk that is full, for real: a small file system of its own. Nothing is lost, nothing charged, and it goes on."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests import pictures
from tests.conftest import LogGuard
from tests.running import DEADLINE, Clock, RunningServer, bearer, running
from tests.surfaces.test_cli import serving, told
from tests.surfaces.test_repair import fsck

SIZE = 16 << 20
LARGE = pictures.png(pictures.noise(700, 500))  # a megabyte
PICTURE = pictures.phone_jpeg(image=pictures.noise(400, 400), quality=95)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a file system of one's own needs the right to mount one: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(folder: Path, left: int) -> Path:
    """Use the disk up but for so many bytes."""
    filler = folder / "filler"
    found = os.statvfs(folder)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, found.f_bavail * found.f_frsize - left))
    return filler


def used(server: RunningServer, key: str) -> int:
    return int(server.get("/api/quota", key).json()["used"])


def test_a_full_disk_is_told_charges_nothing_and_is_used_again_when_there_is_room(
    small_disk: Path, log_guard: LogGuard
) -> None:
    log_guard.allow("storage_unavailable|not available|cannot store")
    with running(small_disk / "data", imaging={"workers": 1}) as server:
        key = server.new_key("pro")
        assert server.upload(key, PICTURE).status_code == 200
        blobs = server.files("blobs")
        filler = fill(small_disk, left=0)
        refused = server.upload(key, PICTURE)
        assert (refused.status_code, refused.json()["code"]) == (502, "storage_unavailable")
        assert used(server, key) == 1
        assert (server.files("blobs"), server.files("spool")) == (blobs, [])
        filler.unlink()
        assert server.upload(key, PICTURE).status_code == 200
        assert used(server, key) == 2


def test_a_write_that_the_system_refuses_is_told_and_the_server_goes_on(tmp_path: Path) -> None:
    """No file may be longer than 300 KB, for a while: what needs no right to mount anything."""
    key = told("user", "add", "a@example.org", "--plan", "pro", "--data", str(tmp_path))["api_key"]
    with serving(tmp_path) as (process, url):
        most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)

        def answered() -> tuple[int, int]:
            options: dict[str, Any] = {"headers": bearer(key), "timeout": DEADLINE}
            answer = requests.post(f"{url}/api/upload", files={"file": ("a.png", LARGE)}, **options)
            return answer.status_code, requests.get(f"{url}/api/quota", **options).json()["used"]

        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (300_000, most[1]))
        assert answered() == (502, 0)
        assert not [path for path in (tmp_path / "spool").iterdir() if path.is_file()]
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, most)
        assert answered() == (200, 1)


def test_wherever_the_space_ends_all_stays_in_step(small_disk: Path, log_guard: LogGuard) -> None:
    """Less and less room: the file, its cleaned form, the catalog's log run out of it, one after the other."""
    log_guard.allow("storage_unavailable|not available|cannot store")
    with running(small_disk / "data", imaging={"workers": 1}) as server:
        key, stored, answers = server.new_key("pro"), [], set()
        for left in range(0, 4 * len(PICTURE), len(PICTURE) // 5):
            filler = fill(small_disk, left)
            answer = server.upload(key, PICTURE)
            answers.add(answer.status_code)
            if answer.status_code == 200:
                stored.append(answer.json()["direct_url"])
            filler.unlink()
        assert answers == {200, 502}
        assert all(server.get(url).status_code == 200 for url in stored)
        assert used(server, key) == len(stored)
    _, (records, blobs, leftovers, problems) = fsck(small_disk / "data", Clock())
    assert (records, problems) == (len(stored), 0)
    assert blobs == len(stored) + leftovers, "bytes whose record did not fit wait for the janitor"
