"""A server that kills itself before or after one step: `python -m tests.dying_server before put serve …`."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from iuserver.blobs import disk
from iuserver.blobs.disk import DiskBlobs
from iuserver.blobs.s3 import S3Blobs
from iuserver.catalog.mongo import MongoCatalog
from iuserver.catalog.sqlite import SqliteCatalog
from iuserver.cli import main
from iuserver.imaging.pool import Pool

STEPS: dict[str, tuple[Any, str]] = {
    "submit": (Pool, "submit"),
    "put": (DiskBlobs, "put"),
    "commit": (SqliteCatalog, "commit_upload"),
    "put on S3": (S3Blobs, "put"),
    "commit in MongoDB": (MongoCatalog, "commit_upload"),
    "delete record": (SqliteCatalog, "delete_image"),
    "delete blob": (DiskBlobs, "delete"),
}
THREAD_STEPS: dict[str, tuple[Any, str]] = {"sync": (disk, "_sync")}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def arm(moment: str, step: str) -> None:
    """Replace the step by one that ends the process."""
    owner, name = {**STEPS, **THREAD_STEPS}[step]
    original = getattr(owner, name)

    async def step_of_the_loop(*arguments: Any) -> Any:
        if moment == "before":
            die()
        await original(*arguments)
        die()

    def step_of_a_thread(*arguments: Any) -> None:
        if moment == "after":
            original(*arguments)
        die()

    setattr(owner, name, step_of_a_thread if step in THREAD_STEPS else step_of_the_loop)


if __name__ == "__main__":
    arm(*sys.argv[1:3])
    raise SystemExit(main(sys.argv[3:]))
