"""What large uploads cost in memory: a constant."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
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


class Slowest:
    """The longest that /healthz took to answer while a block ran."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.seconds: list[float] = []

    def _watch(self) -> None:
        with requests.Session() as session:
            while not self._done.wait(0.005):
                began = time.perf_counter()
                assert session.get(f"{self._url}/healthz", timeout=10).status_code == 200
                self.seconds.append(time.perf_counter() - began)

    def __enter__(self) -> Slowest:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()


AGENT = """
import base64, sys, requests
url, key, path, escape = sys.argv[1:]
data = base64.b64encode(open(path, "rb").read())
if escape == "escaped":
    data = data.replace(b"/", b"\\\\/").replace(b"+", b"\\\\u002B")
head = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"upload_image","arguments":'
body = head + b'{"filename":"a.jpg","mime":"image/jpeg","data_base64":"' + data + b'"}}}'
answer = requests.post(url + "/mcp", data=body, headers={"Authorization": "Bearer " + key}, timeout=120)
assert answer.json()["result"]["structuredContent"]["size"] > 80_000_000, answer.text
"""


@pytest.mark.slow
@pytest.mark.parametrize("escape", ["plain", "escaped"])
def test_a_large_picture_in_base64_is_never_in_memory_and_holds_nobody_up(tmp_path: Path, escape: str) -> None:
    """90 MB as an agent sends it, from a process of its own: at most 60 MB over idle, and others are answered."""
    key = told("user", "add", "a@example.org", "--plan", "business", "--data", str(tmp_path))["api_key"]
    plain = pictures.jpeg()
    picture = tmp_path / "large.jpg"
    picture.write_bytes(plain[:-2] + os.urandom(90 * MB).replace(b"\xff", b"\0") + plain[-2:])
    with serving(tmp_path) as (process, url):
        pids = [process.pid, *(child.pid for child in psutil.Process(process.pid).children())]
        send(url, key, plain)
        idle = proportional_set(pids)
        command = [sys.executable, "-c", AGENT, url, key, str(picture), escape]
        with Peak(pids) as peak, Slowest(url) as slowest:
            subprocess.run(command, check=True, timeout=120)
        worst = max(slowest.seconds)
        print(f"\n{escape}: {(peak.value - idle) / MB:.1f} MB more; /healthz at most {1e3 * worst:.1f} ms")
        assert peak.value - idle <= 60 * MB
        assert worst < 2, "the loop was held up for as long as the body took"
