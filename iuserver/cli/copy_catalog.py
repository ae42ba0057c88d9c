"""`iuserver copy-catalog FROM TO`: copies all records to another catalog and verifies them."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
from typing import Any

import orjson
from tqdm import tqdm

from iuserver.backends import StartError, open_catalog_at
from iuserver.cli import add_data_options, fail, settings_of
from iuserver.errors import Fault
from iuserver.ports import Copyable
from iuserver.records import ROW_KEYS, Row
from iuserver.settings import Settings

BATCH = 500


class Differs(Exception):
    """Why nothing can be copied, or what is not the same afterwards, in a sentence."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog = "A URL is sqlite: (in the data folder), sqlite:PATH, mongodb://… or mongodb+srv://…"
    parser.add_argument("source", metavar="FROM", help="the catalog's URL; let its server be read-only, or stop it")
    parser.add_argument("target", metavar="TO", help="another one's, empty or left by a copy that did not end")
    add_data_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Copy, compare, and print how many rows of each kind there are. 1 where they are not the same."""
    settings = settings_of(options)
    try:
        result = asyncio.run(_copy(options.source, options.target, settings))
    except (Fault, Differs) as error:
        return fail(str(error))
    except StartError as error:
        return fail(str(error), 2)
    print(orjson.dumps(result).decode())
    return 0


async def _copy(source_url: str, target_url: str, settings: Settings) -> dict[str, Any]:
    async with contextlib.AsyncExitStack() as stack:
        source = await open_catalog_at(source_url, settings, make=False)
        stack.push_async_callback(source.close)
        target = await open_catalog_at(target_url, settings)
        stack.push_async_callback(target.close)
        await _check_target(source, target)
        sizes = {kind: await source.size(kind) for kind in ROW_KEYS}
        with _bar("copying", sum(sizes.values())) as bar:
            for kind in ROW_KEYS:
                await _copy_kind(kind, source, target, bar)
        with _bar("comparing", 2 * sum(sizes.values())) as bar:
            return {kind: await _compare(kind, source, target, bar) for kind in ROW_KEYS}


async def _check_target(source: Copyable, target: Copyable) -> None:
    """Raises Differs for a catalog that this copy would mix with. The secret is copied first: it tells whose it is."""
    copied = await target.last_row("secrets")
    if copied is None and await target.last_row("accounts") is None:
        return
    if copied is None or copied["value"] != await source.secret():
        raise Differs("TO is another catalog: it must be empty, or left by a copy of this one that did not end")


async def _copy_kind(kind: str, source: Copyable, target: Copyable, bar: tqdm[Any]) -> None:
    """Copy the rows of a kind, from where an earlier copy has ended."""
    after = await target.last_row(kind)
    bar.update(await target.size(kind))
    async for rows in source.rows(kind, after, BATCH):
        await target.add_rows(kind, rows)
        bar.update(len(rows))


async def _compare(kind: str, source: Copyable, target: Copyable, bar: tqdm[Any]) -> int:
    """The number of rows of a kind. Raises Differs where the rows are not the same."""
    one, other = await _digest(kind, source, bar), await _digest(kind, target, bar)
    if one != other:
        raise Differs(f"the {kind} differ: {one[0]} in FROM, {other[0]} in TO; copy again to an empty TO")
    return one[0]


async def _digest(kind: str, catalog: Copyable, bar: tqdm[Any]) -> tuple[int, str]:
    """How many rows of a kind there are, and the SHA-256 of all of them in order."""
    digest, count = hashlib.sha256(), 0
    async for rows in catalog.rows(kind, None, BATCH):
        digest.update(b"".join(map(_bytes, rows)))
        bar.update(len(rows))
        count += len(rows)
    return count, digest.hexdigest()


def _bytes(row: Row) -> bytes:
    return orjson.dumps(row, default=bytes.hex, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def _bar(what: str, total: int) -> tqdm[Any]:
    return tqdm(total=total, desc=what, unit=" rows", disable=None, leave=False)
