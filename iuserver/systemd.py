"""What systemd asks of a service: sockets that it has opened already, readiness, and watchdog keep-alives.

sd_listen_fds(3) and sd_notify(3), without its library. Whatever else speaks these protocols will do.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import MutableMapping

FIRST = 3
"""The first descriptor that is passed on."""


def passed_sockets(environ: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """The listening sockets that were passed to this process, taken once: children are not to take them for theirs."""
    pid, number = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not number.isdecimal():
        return []
    sockets = [socket.socket(fileno=descriptor) for descriptor in range(FIRST, FIRST + int(number))]
    for passed in sockets:
        passed.set_inheritable(False)
    return sockets


def notify(state: str) -> None:
    """Tell the service manager, if there is one: as in "READY=1", several lines at a time."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifying, contextlib.suppress(OSError):
        address = "\0" + path[1:] if path.startswith("@") else path
        notifying.sendto(state.encode(), socket.MSG_DONTWAIT, address)  # a manager that does not read holds up nothing


def watchdog_seconds() -> float:
    """How often the manager wants a sign of life at least; 0 where it wants none."""
    microseconds, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or pid not in ("", str(os.getpid())):
        return 0
    return int(microseconds) / 1e6


async def feed_watchdog() -> None:
    """Give signs of life for as long as the event loop runs, if any are wanted."""
    while seconds := watchdog_seconds():
        notify("WATCHDOG=1")
        await asyncio.sleep(seconds / 2)
