"""`iuserver block …`: manages the blocklist, with or without a running server."""

from __future__ import annotations

import argparse
import asyncio
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from iuserver.backends import StartError
from iuserver.cli import add_data_options, fail, settings_of
from iuserver.errors import Fault
from iuserver.moderation import Moderation
from iuserver.records import Block
from iuserver.server import opened_moderation
from iuserver.settings import Settings

SHA256 = re.compile(r"[0-9a-fA-F]{64}")
LINK = re.compile(r"/[ift]/([A-Za-z0-9_-]{1,64})(\.[a-z0-9]{1,5})?")


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's actions and their options."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    add = actions.add_parser("add", help="let nobody upload a picture (any more)")
    add.add_argument("target", metavar="FILE|SHA256|URL", help="the picture, the hash of its stored bytes, or its link")
    add.add_argument("--purge", action="store_true", help="delete it wherever it is stored, too")
    add.set_defaults(action=_add)
    actions.add_parser("list", help="show the blocklist").set_defaults(action=_list)
    remove = actions.add_parser("remove", help="take a picture off the blocklist")
    remove.add_argument("id")
    remove.set_defaults(action=_remove)
    for action in actions.choices.values():
        add_data_options(action)
        action.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do the action and print what it tells, one JSON object a line."""
    settings = settings_of(options)
    try:
        lines = asyncio.run(options.action(options, settings))
    except Fault as fault:
        return fail(fault.message)
    except OSError as error:
        return fail(f"{error.filename}: {error.strerror}")
    except StartError as error:
        return fail(str(error), 2)
    for line in lines:
        print(orjson.dumps(line).decode())
    return 0


async def _add(options: argparse.Namespace, settings: Settings) -> list[dict[str, Any]]:
    async with opened_moderation(settings) as (moderation, library):
        block = await _block(moderation, options.target, settings)
        if not options.purge:
            return [_described(block)]
        return [{**_described(block), "purged": await moderation.purge(block, library.delete_record)}]


async def _block(moderation: Moderation, target: str, settings: Settings) -> Block:
    """Find out what the operator means. Raises Fault, OSError."""
    if target.startswith(("http://", "https://")):
        return await moderation.block_image(_slug_of(target, settings.server.public_url), target)
    if SHA256.fullmatch(target) and not Path(target).exists():
        return await moderation.block(bytes.fromhex(target), None, "SHA-256")
    return await moderation.block_file(Path(target))


def _slug_of(url: str, public_url: str) -> str:
    """The image that a link of ours means. Raises Fault("bad_field")."""
    parts, ours = urlsplit(url), urlsplit(public_url)
    match = LINK.fullmatch(parts.path.removeprefix(ours.path))
    if not match or (public_url and parts.netloc != ours.netloc):
        raise Fault("bad_field", f"{url} is no link of this server")
    return match[1]


async def _list(options: argparse.Namespace, settings: Settings) -> list[dict[str, Any]]:
    async with opened_moderation(settings) as (moderation, _):
        return [_described(block) for block in await moderation.all()]


async def _remove(options: argparse.Namespace, settings: Settings) -> list[dict[str, Any]]:
    async with opened_moderation(settings) as (moderation, _):
        await moderation.unblock(options.id)
    return [{"id": options.id, "removed": True}]


def _described(block: Block) -> dict[str, Any]:
    return {
        "id": block.id,
        "sha256": block.sha256.hex(),
        "likeness": block.likeness and block.likeness.hex(),
        "size": block.size,
        "origin": block.origin,
        "created_at": block.created_at,
    }
