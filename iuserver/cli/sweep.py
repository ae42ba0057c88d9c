"""`iuserver sweep`: runs the janitor once, with or without a running server."""

from __future__ import annotations

import argparse
import asyncio

import orjson

from iuserver import policy
from iuserver.backends import StartError
from iuserver.cli import add_data_options, fail, settings_of
from iuserver.errors import Fault
from iuserver.janitor import Report
from iuserver.server import opened_janitor
from iuserver.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_data_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Sweep and print what was done as one line of JSON. 1 where a step has failed."""
    settings = settings_of(options)
    try:
        report = asyncio.run(_sweep(settings))
    except Fault as fault:
        return fail(fault.message)
    except StartError as error:
        return fail(str(error), 2)
    print(orjson.dumps(report).decode())
    return 1 if report.failed else 0


async def _sweep(settings: Settings) -> Report:
    if settings.server.read_only:
        raise policy.read_only()
    async with opened_janitor(settings) as janitor:
        return await janitor.sweep()
