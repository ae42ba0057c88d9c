"""`iuserver backup DIR`: copies records and bytes to a folder, with or without a running server."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path

from tqdm import tqdm

from iuserver.backends import catalog_file, open_blobs, open_catalog_at
from iuserver.backup import Backup, Result
from iuserver.cli import add_data_options, settings_of
from iuserver.cli.outcome import run_copy
from iuserver.ports import Snapshots
from iuserver.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="a new folder, or that of the last backup")
    add_data_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Back up, and print what was done as one line of JSON. 1 where the bytes of an image are missing."""
    return run_copy(_back_up(options.folder, settings_of(options)), options.folder)


async def _back_up(folder: Path, settings: Settings) -> Result:
    catalog_file(settings)  # there is one, or this ends here
    async with contextlib.AsyncExitStack() as stack:
        catalog = await open_catalog_at(settings.catalog.url, settings, make=False)
        stack.push_async_callback(catalog.close)
        assert isinstance(catalog, Snapshots)
        blobs = await open_blobs(settings)
        stack.push_async_callback(blobs.close)
        bar = stack.enter_context(tqdm(total=await catalog.size("images"), unit=" images", disable=None, leave=False))
        backup = Backup(
            folder,
            catalog,
            blobs,
            lambda path: open_catalog_at(f"sqlite:{path}", settings),
            time.time,
            lambda line: tqdm.write(line, file=sys.stderr),
            bar.update,
        )
        return await backup.run()
