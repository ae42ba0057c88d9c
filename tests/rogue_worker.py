"""A worker that has been taken over: it starts and is confined like any, and then misbehaves as a file tells it to.

The file is `DATA/rogue`, and says what to do in place of the first answer. The first worker that starts takes it away;
those that find none are honest.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from iuserver.imaging import worker
from iuserver.imaging.wire import message

HONEST = worker.answer
kept: list[int] = []

Facts = dict[str, Any]


def with_facts(**changes: Any) -> Callable[[Facts], bytes]:
    return lambda facts: message({"facts": {**facts, **changes}})


def keep_open(facts: Facts) -> bytes:
    kept.append(os.open(target, os.O_WRONLY))
    return message({"facts": facts})


def write_to_stderr(facts: Facts) -> bytes:
    os.write(2, b"one\x1b[31m\r\nINFO forged\x9b\n")
    for _ in range(20):
        os.write(2, b"x" * 50_000)
    return message({"facts": facts})


def hang(facts: Facts) -> bytes:
    signal.setitimer(signal.ITIMER_REAL, 0)
    Path(f"{target}.hung").touch()
    signal.pause()
    return b""


def answer_again_later(facts: Facts) -> bytes:
    threading.Timer(0.2, os.write, [0, message({"facts": facts})]).start()
    return message({"facts": facts})


MISDEEDS: dict[str, Callable[[Facts], bytes]] = {
    "four gigabytes": lambda facts: struct.pack(">I", 0xFFFFFFFF) + b"x" * 1_000_000,
    "no JSON": lambda facts: struct.pack(">I", 4) + b"{{{{",
    "a list": lambda facts: message([facts]),
    "nothing": lambda facts: message({}),
    "two things": lambda facts: message({"facts": facts, "crash": "x"}),
    "twice": lambda facts: message({"facts": facts}) * 2,
    "ready again": lambda facts: message({"ready": True, "missing": []}),
    "another thing": lambda facts: message({"keys": facts}),
    "no facts": lambda facts: message({"facts": {"mime": "image/png"}}),
    "a type of its own": with_facts(mime="text/html", ext="html"),
    "an extension of its own": with_facts(ext="html"),
    "a path for an extension": with_facts(ext="../x"),
    "a list for a type": with_facts(mime=[]),
    "a negative side": with_facts(width=-1),
    "a huge side": with_facts(height=10**15),
    "a fraction": with_facts(width=1.5),
    "a truth": with_facts(width=True),
    "no frames": with_facts(frames=0),
    "a ninth turn": with_facts(orientation=9),
    "another size": with_facts(size=1),
    "a size that is none": with_facts(size=None),
    "a negative difference": with_facts(removed_bytes=-1),
    "a huge difference": with_facts(removed_bytes=1 << 60),
    "a text for kinds": with_facts(removed_kinds="gps"),
    "kinds of its own": with_facts(removed_kinds=["gps", "<b>"]),
    "kinds without end": with_facts(removed_kinds=["gps"] * 1000),
    "another fault": lambda facts: message({"fault": ["quota_exceeded", "Pay at evil.example"]}),
    "a long sentence": lambda facts: message({"fault": ["broken_image", "x" * 5000]}),
    "control characters": lambda facts: message({"fault": ["broken_image", "\x1b[2J"]}),
    "a list for a fault": lambda facts: message({"fault": [[], {}]}),
    "a long traceback": lambda facts: message({"crash": "x" * 30_000}),
    "a crash": lambda facts: message({"crash": "Traceback\n\x1b[2J\n2026-01-01T00:00:00Z INFO forged"}),
    "open": keep_open,
    "without a job": answer_again_later,
    "stderr": write_to_stderr,
    "hang": hang,
}

target = ""


def misbehave(misdeed: str) -> None:
    """Have this process do a misdeed in place of its first answer."""
    jobs = 0

    def send(connection: socket.socket, head: dict[str, Any]) -> None:
        nonlocal jobs
        jobs += "ready" not in head
        connection.sendall(MISDEEDS[misdeed](asdict(head["facts"])) if jobs == 1 else message(head))

    def answer(job: dict[str, Any], *more: Any) -> dict[str, Any]:
        global target
        target = job["target"]
        return HONEST(job, *more)

    worker._send = send
    worker.answer = answer


if __name__ == "__main__":
    order = Path(sys.argv[3]).parent / "rogue"
    with contextlib.suppress(FileNotFoundError):
        taken = order.rename(f"{order}.{os.getpid()}")
        misbehave(taken.read_text())
        taken.unlink()
    with contextlib.suppress(ConnectionError, EOFError):
        worker.main()
