"""A writer process that kills its server or itself before or after one step, once, as `doom` has set."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from iuserver.blobs import disk
from iuserver.blobs.disk import DiskBlobs
from iuserver.catalog.sqlite import SqliteCatalog
from iuserver.writer import process

STEPS: dict[str, tuple[Any, str]] = {
    "put": (DiskBlobs, "put"),
    "commit": (SqliteCatalog, "commit_upload"),
    "delete record": (SqliteCatalog, "delete_image"),
}
SYNC = "sync"


def doom(data: Path, who: str, moment: str, step: str) -> None:
    """Have the next writer process of a data folder that starts as this program kill `who`: "server" or "writer"."""
    data.joinpath("dying").write_text(f"{who} {moment} {step}")


def arm(who: str, moment: str, step: str) -> None:
    """Replace the step by one that ends a process."""
    owner, name = (disk, "_sync") if step == SYNC else STEPS[step]
    original = getattr(owner, name)

    def die() -> None:
        os.kill(os.getppid() if who == "server" else os.getpid(), signal.SIGKILL)
        os._exit(1)  # without an answer

    async def asked(*arguments: Any) -> Any:
        if moment == "after":
            await original(*arguments)
        die()

    def called(*arguments: Any) -> None:
        if moment == "after":
            original(*arguments)
        die()

    setattr(owner, name, called if step == SYNC else asked)


if __name__ == "__main__":
    order = Path(sys.argv[1]).parent / "dying"
    if order.exists():
        words = order.read_text().split(" ", 2)
        order.unlink()
        arm(*words)
    process.main(*sys.argv[1:])
