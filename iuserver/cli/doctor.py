"""`iuserver doctor [URL]`: tries a server out as its clients see it, and names what is wrong with the fix."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
from collections import Counter
from pathlib import Path

from iuserver.cli import add_data_options, fail, settings_of
from iuserver.cli.address import server_address
from iuserver.cli.doctor_machine import machine
from iuserver.cli.doctor_public import public
from iuserver.cli.doctor_stores import stores
from iuserver.cli.findings import Finding, warning
from iuserver.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog = "Environment: IMAGEUPLOAD_API_KEY, the key of an account, by which a picture is sent and deleted."
    parser.add_argument("url", nargs="?", metavar="URL", help="the public address; without it server.public_url")
    parser.add_argument("--remote", action="store_true", help="look at the address alone, not at this machine")
    add_data_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Look at everything, and print a line each. 0 where all is well, 1 with warnings, 2 with errors."""
    settings = settings_of(options)
    logging.getLogger("iuserver").setLevel(logging.ERROR)  # a finding says the same
    given = options.url or settings.server.public_url
    url = server_address(given) if given else None
    if given and url is None:
        return fail("URL must be an address that begins with http:// or https://", 2)
    levels: Counter[str] = Counter()
    if not options.remote:
        asyncio.run(_look_here(settings, levels))
    if url:
        for finding in public(url, os.environ.get("IMAGEUPLOAD_API_KEY", "").strip(), _local(settings)):
            _tell(finding, levels)
    print(f"{levels['ok']} well, {levels['warning']} warnings, {levels['error']} errors")
    return 2 if levels["error"] else 1 if levels["warning"] else 0


async def _look_here(settings: Settings, levels: Counter[str]) -> None:
    data = Path(settings.server.data)
    if data.is_dir() and data.stat().st_uid != os.geteuid():
        text = f"{data} belongs to another user: this machine was not looked at, as what is made here would be yours"
        _tell(warning(text, "sudo -u USER iuserver doctor …; or --remote"), levels)
        return
    async for finding in machine(settings):
        _tell(finding, levels)
    async for finding in stores(settings):
        _tell(finding, levels)


def _tell(finding: Finding, levels: Counter[str]) -> None:
    levels[finding.level] += 1
    print(f"{finding.level:8} {finding.text}", flush=True)
    if finding.fix:
        print(f"{'':8} fix: {finding.fix}", flush=True)


def _local(settings: Settings) -> str:
    """Where the server listens on this machine, if that can be asked."""
    host, port = settings.server.host, settings.server.port
    if host.startswith("unix:") or not port:
        return ""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
