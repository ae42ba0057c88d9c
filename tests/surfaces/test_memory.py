"""What large uploads cost in memory: a constant."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import psutil
import pytest
import requests

from iuserver.records import MB
from tests import pictures
from tests.surfaces.test_cli import serving, told


def proportional_set(pids: list[int]) -> int:
    """The PSS of some processes together, in bytes."""
    total = 0
    for pid in pids:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
        assert found
        total += int(found[1]) * 1024
    return total


class Peak:
    """The largest PSS that was seen while a block ran."""

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.value = 0

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self.value = max(self.value, proportional_set(self._pids))

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one scan", "many segments", "a png with one chunk"])
def test_large_uploads_are_never_in_memory(tmp_path: Path, kind: str) -> None:
    """20 uploads of 60 MB one after another: at most 30 MB over idle, server and workers together.

    The server is a process of its own here, as this one holds the pictures.
    """
    key = told("user", "add", "a@example.org", "--plan", "business", "--data", str(tmp_path))["api_key"]
    body = large(kind)
    assert len(body) > 59 * MB
    with serving(tmp_path) as (process, url):
        pids = [process.pid, *(child.pid for child in psutil.Process(process.pid).children())]
        send(url, key, pictures.jpeg())
        idle = proportional_set(pids)
        with Peak(pids) as peak:
            for _ in range(20):
                send(url, key, body)
    print(f"\n{kind}: idle {idle / MB:.0f} MB, at most {(peak.value - idle) / MB:.1f} MB more")
    assert peak.value - idle <= 30 * MB


def send(url: str, key: str, data: bytes) -> None:
    files = {"file": ("photo", data)}
    answer = requests.post(f"{url}/api/upload", headers={"Authorization": f"Bearer {key}"}, files=files, timeout=60)
    assert answer.status_code == 200, answer.text


def large(kind: str) -> bytes:
    if kind == "a png with one chunk":
        return pictures.png()[:-12] + pictures.chunk(b"IDAT", os.urandom(60 * MB)) + pictures.chunk(b"IEND", b"")
    plain = pictures.jpeg()
    scan = plain.index(b"\xff\xda")
    if kind == "many segments":
        return plain[:scan] + pictures.segment(0xFE, b"x" * 65000) * 968 + plain[scan:]
    return plain[:-2] + os.urandom(60 * MB).replace(b"\xff", b"\0") + plain[-2:]
