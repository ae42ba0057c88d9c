"""`iuserver doctor`, this machine: the disk, limits of the operating system, and what confines workers."""

from __future__ import annotations

import contextlib
import os
import resource
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from iuserver.backends import StartError
from iuserver.cli.findings import Finding, error, ok, warning
from iuserver.server import started_pool
from iuserver.settings import Settings

SYNCS = 9
SLOW_SYNC_SECONDS = 0.03
"""An upload waits for two syncs or three."""
SCARCE, FULL = 0.1, 0.02
"""Parts of a disk, or of its inodes, that should be free."""
SPARE_FILES = 512
"""Open files besides connections: blobs, backends, workers."""
PROCESSES = 256
"""Processes and threads that a server needs at most, on a machine of the usual size."""


async def machine(settings: Settings) -> AsyncIterator[Finding]:
    """What is found about this machine."""
    data = Path(settings.server.data)
    if not data.is_dir():
        yield error(f"server.data: there is no folder {data}", "iuserver serve makes it; or name another with --data")
        return
    try:
        yield _disk_speed(data)
    except OSError as reason:
        yield error(f"server.data: {data}: {reason.strerror}", f"let this user write to it: chown -R USER {data}")
    for finding in (*_disk_space(data), *_limits(settings)):
        yield finding
    yield await _confinement(settings)


def _disk_speed(data: Path) -> Finding:
    """How long a small file takes to be on the disk. Raises OSError."""
    took = []
    with tempfile.NamedTemporaryFile(dir=data, prefix="spool.doctor-") as file:
        for _ in range(SYNCS):
            began = time.monotonic()
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
            took.append(time.monotonic() - began)
    seconds = statistics.median(took)
    text = f"a sync of the disk takes {1000 * seconds:.1f} ms"
    if seconds <= SLOW_SYNC_SECONDS:
        return ok(text)
    return warning(text, "uploads wait for two or three: move server.data to an SSD, or away from network storage")


def _disk_space(data: Path) -> Iterator[Finding]:
    found = os.statvfs(data)
    for what, free, total in (("space", found.f_bavail, found.f_blocks), ("inodes", found.f_favail, found.f_files)):
        if not total:
            continue  # a file system that makes inodes as needed
        text = f"{100 * free / total:.0f} % of the disk's {what} are free"
        fix = f"free some, or move {data} to a larger disk; an upload needs one inode, and its bytes"
        yield ok(text) if free > SCARCE * total else (warning if free > FULL * total else error)(text, fix)


def _limits(settings: Settings) -> Iterator[Finding]:
    most_files, most_processes = (
        resource.getrlimit(kind)[1] for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)
    )
    wanted = settings.server.max_connections + SPARE_FILES
    for what, most, needed, line in (
        ("open files", most_files, wanted, f"LimitNOFILE={2 * wanted} in the unit, or lower server.max_connections"),
        ("processes", most_processes, PROCESSES, f"LimitNPROC={2 * PROCESSES} in the unit"),
    ):
        enough = most == resource.RLIM_INFINITY or most >= needed
        shown = "any number" if most == resource.RLIM_INFINITY else str(most)
        text = f"{what}: {shown} allowed, {needed} may be needed"
        yield ok(text) if enough else warning(text, line)


async def _confinement(settings: Settings) -> Finding:
    """Start a worker, and ask what confines it."""
    try:
        async with contextlib.AsyncExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            pool = await started_pool(settings, 1, folder, stack)
            missing = pool.unconfined
    except StartError as reason:
        return error(str(reason), "the lines above say why; run the server's user through the same command")
    if missing:
        text = f"workers are confined without {', '.join(missing)}"
        return warning(text, "a kernel of 5.13 or newer, with Landlock and seccomp, not masked by a container")
    return ok("workers start, and are confined")
