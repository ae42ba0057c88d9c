"""`iuserver copy-blobs`: copies all blobs from one store to another and verifies them.

Each blob is read from both sides and must have the same SHA-256; at the end both sides are counted. Blobs that the
target already has are compared, not copied again, so an interrupted copy is resumed by running the command again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from tqdm import tqdm

from iuserver.backends import StartError, open_blob_store
from iuserver.cli import add_data_options, fail, settings_of
from iuserver.copying import digest_of, for_each
from iuserver.errors import Fault
from iuserver.ports import BlobStore
from iuserver.settings import Settings


@dataclass(slots=True)
class Result:
    """What was done: blobs copied, blobs that were there already, problems that were reported, and bytes copied."""

    copied: int = 0
    present: int = 0
    problems: int = 0
    bytes: int = 0


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog = "FROM, TO: disk: (in the data folder), disk:FOLDER, or s3://BUCKET/PREFIX?endpoint=URL&region=NAME"
    parser.add_argument("source", type=_store_url, metavar="FROM")
    parser.add_argument("target", type=_store_url, metavar="TO")
    add_data_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Copy, and print what was done as one line of JSON. 0 where all is there, 1 where not, 130 on Ctrl-C."""
    try:
        result = asyncio.run(_copy_all(options.source, options.target, settings_of(options)))
    except Fault as fault:
        return fail(f"{fault.message} ({fault.__cause__}). What has been copied stays: the same command goes on")
    except StartError as error:
        return fail(str(error), 2)
    except OSError as error:
        return fail(f"{tempfile.gettempdir()}: {error.strerror}")
    except KeyboardInterrupt:
        return 130
    print(orjson.dumps(asdict(result)).decode())
    return 1 if result.problems else 0


async def _copy_all(source_url: str, target_url: str, settings: Settings) -> Result:
    async with contextlib.AsyncExitStack() as stack:
        source = await _opened(source_url, settings, stack, must_exist=True)
        target = await _opened(target_url, settings, stack)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="iuserver-copy-")))
        total = await _count(source)
        bar = stack.enter_context(tqdm(total=total, unit="blob", disable=None, leave=False))
        copier = Copier(source, target, folder, bar)
        await copier.copy_all()
        if (there := await _count(target)) < (here := await _count(source)):
            copier.tell(f"{target_url} lists {there} blobs, {source_url} {here}")
        return copier.result


async def _opened(
    url: str, settings: Settings, stack: contextlib.AsyncExitStack, must_exist: bool = False
) -> BlobStore:
    folder = Path(url.removeprefix("disk:") or Path(settings.server.data) / "blobs")
    if must_exist and url.startswith("disk:") and not folder.is_dir():
        raise StartError(f"{folder}: there is no such folder")
    store = await open_blob_store(url, settings)
    stack.push_async_callback(store.close)
    return store


class Copier:
    """One copy. `folder` holds blobs in transit, `bar` is the progress bar."""

    def __init__(self, source: BlobStore, target: BlobStore, folder: Path, bar: tqdm[Any]) -> None:
        self._source = source
        self._target = target
        self._folder = folder
        self._bar = bar
        self.result = Result()

    async def copy_all(self) -> None:
        """Copy every blob, several at a time. Raises Fault where a store is away."""
        await for_each(_keys(self._source), self._work)

    async def _work(self, key: str) -> None:
        try:
            await self._copy(key)
        except Fault as fault:
            if fault.code != "not_found":
                raise
            self.tell(f"blob {key}: was not there when it was to be read")
        self._bar.update()

    async def _copy(self, key: str) -> None:
        size = await self._target.size(key)
        digest = await (self._send(key) if size is None else digest_of(self._source, key))
        if digest != await digest_of(self._target, key):
            self.tell(f"blob {key}: is not the same on both sides")
        elif size is None:
            self.result.copied += 1
        else:
            self.result.present += 1

    async def _send(self, key: str) -> bytes:
        """Copy a blob, and return the hash of what was read."""
        path = self._folder / key
        try:
            with path.open("xb") as file:
                digest = await digest_of(self._source, key, file)
            self.result.bytes += path.stat().st_size
            await self._target.put(key, str(path))
            return digest
        finally:
            path.unlink(missing_ok=True)

    def tell(self, problem: str) -> None:
        """Note a problem, beside the bar."""
        self.result.problems += 1
        tqdm.write(problem, file=sys.stderr)


async def _keys(store: BlobStore) -> AsyncIterator[str]:
    """The keys of a store, but for what is half made."""
    async for key, _ in store.listing():
        if "." not in key:
            yield key


async def _count(store: BlobStore) -> int:
    count = 0
    async for _ in _keys(store):
        count += 1
    return count


def _store_url(text: str) -> str:
    if not text.startswith(("disk:", "s3://")):
        raise argparse.ArgumentTypeError("must begin with disk: or s3://")
    return text
