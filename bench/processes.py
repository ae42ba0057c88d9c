"""Processes under measurement: started, looked at, and always ended."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
START_SECONDS = 60.0
STOP_SECONDS = 10.0
PERISH = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
"""Nothing that is started here outlives this program, even if that is killed."""


@dataclass(frozen=True)
class Process:
    """A server that accepts connections; `seconds` is how long it took to get there."""

    pid: int
    url: str
    seconds: float


@contextlib.contextmanager
def started(
    command: Sequence[str],
    log: Path,
    environment: Mapping[str, str] | None = None,
    port: int | None = None,
    standard_input: Path = Path(os.devnull),
) -> Iterator[Process]:
    """Start a server and end it afterwards, with all it started. Raises RuntimeError where it does not come up.

    It is there when it has printed a line that ends with its URL, or, with `port`, when that port accepts connections.
    """
    begun, process = time.monotonic(), None
    try:
        with log.open("w") as errors, standard_input.open() as stdin, _undisturbed():
            process = subprocess.Popen(
                [*PERISH, *command],
                env={**os.environ, **(environment or {})},
                cwd=ROOT,
                stdin=stdin,
                stdout=subprocess.PIPE if port is None else errors,
                stderr=errors,
                start_new_session=True,
            )
        url = _printed_url(process, log) if port is None else _port_open(process, port, log)
        yield Process(process.pid, url, time.monotonic() - begun)
    finally:
        if process:
            _end(process)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """A signal that ends this program waits, as a process that is just being started would not be known yet."""
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: came.append(number))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for came_meanwhile in came:
            signal.raise_signal(came_meanwhile)


def _printed_url(process: subprocess.Popen[bytes], log: Path) -> str:
    assert process.stdout
    line = b""
    if select.select([process.stdout], [], [], START_SECONDS)[0]:
        line = process.stdout.readline()
    if b" http://" not in line:
        raise RuntimeError(f"{process.args!r} did not start: {_tail(log)}")
    return line.split()[-1].decode()


def _port_open(process: subprocess.Popen[bytes], port: int, log: Path) -> str:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return f"http://127.0.0.1:{port}"
        time.sleep(0.01)
    raise RuntimeError(f"{process.args!r} did not start: {_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        os.killpg(process.pid, 9)
    process.wait(STOP_SECONDS)
    if process.stdout:
        process.stdout.close()


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def address_of(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80


def family(pid: int) -> list[int]:
    """A process and all that it has started, it first."""
    pids = [pid]
    for parent in pids:
        for thread in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                pids += map(int, thread.read_text().split())
    return pids


def cpu_seconds(pid: int) -> tuple[float, float]:
    """Processor time used so far: by a process, and by all that it has started, those that have ended included."""
    stats = []
    for member in family(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            stats.append([int(field) / os.sysconf("SC_CLK_TCK") for field in fields[11:15]])
    return sum(stats[0][:2]), sum(sum(times[:2]) for times in stats[1:]) + sum(stats[0][2:])


def proportional_bytes(pids: Sequence[int]) -> int:
    """The PSS of some processes together: what is shared counts once."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
            total += int(found[1]) * 1024 if found else 0
    return total
