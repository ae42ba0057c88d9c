"""`iuserver restore DIR`: makes the data folder of a new server from a backup."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from tqdm import tqdm

from iuserver.backends import catalog_file, open_blobs, open_catalog_at
from iuserver.backup import BackupError, Manifest
from iuserver.cli import add_data_options, settings_of
from iuserver.cli.outcome import run_copy
from iuserver.library import Library
from iuserver.restore import Restore, Result, copy_catalog, forget_sign_ins
from iuserver.server import locked
from iuserver.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder of a backup")
    add_data_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Restore, and print what was done as one line of JSON. 1 where bytes in the backup are damaged."""
    return run_copy(_restore(options.folder, settings_of(options)), options.folder, ". The same command begins again")


async def _restore(folder: Path, settings: Settings) -> Result:
    manifest = Manifest.read(folder)
    if manifest is None:
        raise BackupError(f"{folder}: there is no backup in this folder")
    target = catalog_file(settings)
    with locked(Path(settings.server.data)):
        if target.exists():
            raise BackupError(f"{target}: there is a catalog already; restore to a new data folder")
        draft = target.with_name(f"{target.name}.restoring")
        try:
            copy_catalog(folder, manifest, draft)
            async with _library(draft, settings) as library:
                result = await _run(folder, manifest, library)
            _put_in_place(draft, target)
        finally:
            for path in draft.parent.glob(f"{draft.name}*"):
                path.unlink()
        return result


async def _run(folder: Path, manifest: Manifest, library: Library) -> Result:
    with tqdm(total=len(manifest.blobs), unit=" images", disable=None, leave=False) as bar:
        tell = lambda line: tqdm.write(line, file=sys.stderr)  # noqa: E731
        return await Restore(folder, manifest, library, tell, bar.update).run()


@contextlib.asynccontextmanager
async def _library(catalog_file: Path, settings: Settings) -> AsyncIterator[Library]:
    """The library over the copied catalog, brought up to date, and the blob store to restore to."""
    async with contextlib.AsyncExitStack() as stack:
        catalog = await open_catalog_at(f"sqlite:{catalog_file}", settings)
        stack.push_async_callback(catalog.close)
        await forget_sign_ins(catalog)
        blobs = await open_blobs(settings)
        stack.push_async_callback(blobs.close)
        yield Library(catalog, blobs, await catalog.secret(), time.time)


def _put_in_place(draft: Path, target: Path) -> None:
    """Make the restored catalog the server's: last, and as one, so that an interrupted run leaves none."""
    os.sync()
    draft.rename(target)
    os.sync()
