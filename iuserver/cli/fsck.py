"""`iuserver fsck`: checks records, bytes and counts against each other; repairs them on request."""

from __future__ import annotations

import argparse
import asyncio

from iuserver import policy
from iuserver.backends import StartError
from iuserver.cli import add_data_options, fail, settings_of
from iuserver.errors import Fault
from iuserver.janitor import Check
from iuserver.server import opened_janitor
from iuserver.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_data_options(parser)
    parser.add_argument("--repair", action="store_true", help="repair what can be repaired")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check, print one line a difference and the sum. 1 while problems stay."""
    settings = settings_of(options)
    try:
        check = asyncio.run(_check(settings, options.repair))
    except Fault as fault:
        return fail(fault.message)
    except StartError as error:
        return fail(str(error), 2)
    print(f"{check.records} records, {check.blobs} blobs, {check.leftovers} leftovers, {check.problems} problems")
    return 1 if check.problems else 0


async def _check(settings: Settings, repair: bool) -> Check:
    if repair and settings.server.read_only:
        raise policy.read_only()
    async with opened_janitor(settings) as janitor:
        return await janitor.check(print, repair)
