"""A server that kills itself before or after one step: `python -m tests.dying_server before put serve …`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from iuserver.blobs.disk import DiskBlobs
from iuserver.blobs.s3 import S3Blobs
from iuserver.catalog.mongo import MongoCatalog
from iuserver.cli import main
from iuserver.imaging.pool import Pool
from iuserver.writer import client
from tests import dying_writer

STEPS: dict[str, tuple[Any, str]] = {
    "submit": (Pool, "submit"),
    "put on S3": (S3Blobs, "put"),
    "commit in MongoDB": (MongoCatalog, "commit_upload"),
    "delete blob": (DiskBlobs, "delete"),
}
"""Those of the server; the writer process has its own."""


def arm(moment: str, step: str) -> None:
    """Replace the step by one that ends the process."""
    owner, name = STEPS[step]
    original = getattr(owner, name)

    async def last(*arguments: Any) -> Any:
        is_meant = not str(arguments[-1]).endswith(".thumbnail")  # but the picture's bytes, which go at the same time
        if moment == "after" or not is_meant:
            await original(*arguments)
        if is_meant:
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, last)


if __name__ == "__main__":
    moment, step, *arguments = sys.argv[1:]
    if step in STEPS:
        arm(moment, step)
    else:
        client.PROGRAM = "tests.dying_writer"
        dying_writer.doom(Path(arguments[arguments.index("--data") + 1]), "server", moment, step)
    raise SystemExit(main(arguments))
