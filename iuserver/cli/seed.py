"""`iuserver seed`: fills a new data folder with accounts and records, for benchmarks. Hidden from the help.

The blobs are hard links to copies of one picture, so that a million of them fit on any disk.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import os
import secrets
import shutil
import sqlite3
import time
from dataclasses import fields, replace
from pathlib import Path

import orjson

from iuserver.backends import StartError, open_blobs, open_catalog
from iuserver.cli import add_data_options, fail, settings_of
from iuserver.errors import Fault
from iuserver.policy import DAY, month_of
from iuserver.records import Account, Image
from iuserver.server import accounts_of
from iuserver.settings import Settings

PLAN = "business"
BATCH = 10_000
"""Records of one transaction, and names that one file gets: ext4 allows 65,000."""
SAMPLE = 1000


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_data_options(parser)
    parser.add_argument("--accounts", type=int, default=1, metavar="N")
    parser.add_argument("--records", type=int, default=0, metavar="N", help="of the first account")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="a JPEG: the bytes of every record")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the accounts' keys and some of the slugs as one JSON object. Never touches a catalog that is there."""
    settings = settings_of(options)
    if (Path(settings.server.data) / "catalog.db").exists():
        return fail(f"server.data: {settings.server.data} has a catalog already", 2)
    try:
        result = asyncio.run(_seed(settings, options))
    except (Fault, StartError) as error:
        return fail(str(error))
    print(orjson.dumps(result).decode())
    return 0


async def _seed(settings: Settings, options: argparse.Namespace) -> dict[str, list[str]]:
    catalog, blobs = await open_catalog(settings), await open_blobs(settings)
    data = Path(settings.server.data)
    try:
        accounts = accounts_of(catalog, settings)
        made = [await accounts.add(f"seed{number}@localhost", PLAN) for number in range(options.accounts)]
        slugs: list[str] = []
        for start in range(0, options.records, BATCH):
            images = _images(made[0].account, options.picture, min(BATCH, options.records - start))
            _link(data / "blobs", images, options.picture)
            _insert(data / "catalog.db", images)
            slugs += [image.slug for image in images]
        await catalog.repair_counts(made[0].account.id, month_of(time.time()))
        return {"keys": [new.key for new in made], "slugs": slugs[:: max(1, len(slugs) // SAMPLE)]}
    finally:
        await blobs.close()
        await catalog.close()


def _images(owner: Account, picture: Path, number: int) -> list[Image]:
    size, now = picture.stat().st_size, int(time.time())
    pattern = _image(owner, size, now)
    names = ((secrets.token_bytes(6), secrets.token_hex(16)) for _ in range(number))
    return [replace(pattern, slug=base64.urlsafe_b64encode(slug).decode(), blob=blob) for slug, blob in names]


def _link(blobs: Path, images: list[Image], picture: Path) -> None:
    """The bytes. Past the port, as the records are: a million of them took it three minutes."""
    source = picture.with_suffix(".copy")
    shutil.copyfile(picture, source)
    for image in images:
        os.link(source, f"{blobs}/{image.blob[:2]}/{image.blob}")
    source.unlink()


def _insert(catalog: Path, images: list[Image]) -> None:
    """Records and ledger rows, in one transaction."""
    columns = [field.name for field in fields(Image)]
    month = month_of(time.time())
    with contextlib.closing(sqlite3.connect(catalog)) as connection, connection:
        connection.executemany(
            f"INSERT INTO images ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
            [[getattr(image, column) for column in columns] for image in images],
        )
        connection.executemany(
            "INSERT INTO ledger (month, account_id, blob, slug) VALUES (?, ?, ?, ?)",
            [(month, image.account_id, image.blob, image.slug) for image in images],
        )


def _image(account: Account, size: int, now: int) -> Image:
    return Image(
        slug="",
        blob="",
        account_id=account.id,
        filename="photo.jpg",
        ext="jpg",
        mime="image/jpeg",
        size=size,
        width=640,
        height=480,
        expiration="1mo",
        expires_at=now + 30 * DAY,
        view_limit=None,
        password_hash=None,
        folder=None,
        upload_source="api",
        created_at=now,
    )
