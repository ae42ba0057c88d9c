"""`make chaos`: some ten minutes of kills, full disks and clients that vanish, and then the books are checked.

CHAOS_KILLS (200) says how often the server is killed, CHAOS_SEED what happens when.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import signal
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.running import DEADLINE, eventually
from tests.surfaces.test_crash import LARGE, Crashing, in_the_end, template
from tests.surfaces.test_faults import fill
from tests.surfaces.test_upload import multipart, request_head

pytestmark = pytest.mark.chaos

__all__ = ["template"]  # the fixture that test_crash fills a data folder with

KILLS = int(os.environ.get("CHAOS_KILLS", "200"))
SEED = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
DISK = 512 << 20


class Troubles:
    """What happens to a server beside being killed, by chance; each is counted by its name."""

    def __init__(
        self, crashing: Crashing, process: subprocess.Popen[str], chance: random.Random, own_disk: bool
    ) -> None:
        self._crashing = crashing
        self._process = process
        self._chance = chance
        self._kinds: list[Callable[[], None]] = [self.worker_killed, self.calm] + [self.disk_full] * own_disk

    def one(self, happened: Counter[str]) -> None:
        kind = self._chance.choice(self._kinds)
        kind()
        happened[kind.__name__] += 1

    def calm(self) -> None:
        self._wait_for(self._chance.randrange(1, 40))

    def _wait_for(self, answers: int) -> None:
        answered = lambda: len(self._crashing.acknowledged) + len(self._crashing.odd)  # noqa: E731
        enough = answered() + answers
        eventually(lambda: answered() >= enough, 60)

    def worker_killed(self) -> None:
        pid = self._process.pid
        workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(self._chance.choice(workers)), signal.SIGKILL)

    def disk_full(self) -> None:
        with contextlib.suppress(OSError):  # an upload was faster, and has filled it
            fill(self._crashing.data, self._chance.choice([0, 4096, 65536, 1 << 20]))
        self._wait_for(self._chance.randrange(1, 20))
        (self._crashing.data / "filler").unlink()


def vanish_forever(crashing: Crashing, number: int, ended: threading.Event) -> None:
    """A client that sends a part of a body, slowly or at once, and leaves."""
    chance = random.Random(number)
    body, headers = multipart(LARGE)
    while not ended.wait(chance.random() / 5):
        url = crashing.url
        if url is None:
            continue
        parts = urlsplit(url)
        with (
            contextlib.suppress(OSError),
            socket.create_connection((str(parts.hostname), int(parts.port or 0)), DEADLINE) as to,
        ):
            to.sendall(request_head(crashing.key, headers, len(body)))
            for start in range(0, chance.randrange(len(body)), 16384):
                to.sendall(body[start : start + 16384])
                if number % 2:
                    ended.wait(0.01)


@contextlib.contextmanager
def disk_of_its_own(folder: Path) -> Iterator[bool]:
    """Whether `folder` is now a small file system that can be filled; it takes the right to mount one."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", folder], capture_output=True)
    try:
        yield mounted.returncode == 0
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", folder], check=True)


def test_chaos(template: Path, tmp_path: Path) -> None:
    chance, happened = random.Random(SEED), Counter[str]()
    with disk_of_its_own(tmp_path) as own_disk:
        print(f"\nseed {SEED}" + ("" if own_disk else "; no full disks: that takes the right to mount one"))
        crashing = Crashing(template, tmp_path)
        with crashing.under_load(*(functools.partial(vanish_forever, crashing, number) for number in range(4))):
            for kill in range(KILLS):
                with crashing.serving() as (process, url):
                    crashing.verify(url)
                    crashing.url = url
                    troubles = Troubles(crashing, process, chance, own_disk)
                    for _ in range(chance.randrange(1, 4)):
                        troubles.one(happened)
                    process.kill()
                    crashing.url = None
                if not (kill + 1) % 20:
                    print(f"{kill + 1} kills, {len(crashing.acknowledged)} acknowledged, {dict(happened)}", flush=True)
        with crashing.serving() as (_, url):
            crashing.verify(url, all_of_them=True)
        assert {odd[:3] for odd in crashing.odd} <= {"502", "503"}, (
            "a full disk, or workers that died under a job twice"
        )
        in_the_end(crashing)
    print(f"{KILLS} kills, {len(crashing.acknowledged)} acknowledged, 0 lost; {len(crashing.odd)} told 502 or 503")
