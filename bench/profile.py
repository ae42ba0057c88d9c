"""Flame graphs of server and workers while a load runs, by py-spy.

Sampled with --nonblocking: to stop the process for every sample, or to walk its native frames, changes what is seen.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.processes import PERISH, family

RATE = 200
END_SECONDS = 30.0


@contextlib.contextmanager
def recording(folder: Path | None, pid: int, label: str) -> Iterator[None]:
    """Record every process of a server's family from here on, to FOLDER/LABEL-….svg; without folder, nothing."""
    if folder is None:
        yield
        return
    label = re.sub(r"\W+", "-", label)
    recorders = []
    for number, member in enumerate(family(pid)):
        name = f"worker{number}" if number else "server"
        recorders.append(_recorder(folder / f"{label}-{name}.svg", member))
    try:
        yield
    finally:
        for recorder in recorders:
            recorder.send_signal(2)  # py-spy writes its picture when it is interrupted
        for recorder in recorders:
            with contextlib.suppress(subprocess.TimeoutExpired):
                recorder.wait(END_SECONDS)
            recorder.kill()


def _recorder(output: Path, pid: int) -> subprocess.Popen[bytes]:
    py_spy = Path(sys.executable).with_name("py-spy")
    options = ["--pid", str(pid), "--output", str(output), "--rate", str(RATE), "--duration", "600", "--nonblocking"]
    if not py_spy.exists():
        raise SystemExit("bench: py-spy is not there (`make bench` installs it)")
    quiet = subprocess.DEVNULL  # it complains of a worker that had nothing to do
    return subprocess.Popen([*PERISH, str(py_spy), "record", *options], stdout=quiet, stderr=quiet)
