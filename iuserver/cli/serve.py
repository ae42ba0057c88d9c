"""`iuserver serve`: runs the server until a signal stops it."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
import signal
import sys

import uvloop

from iuserver.backends import StartError
from iuserver.cli import add_data_options, fail, settings_of
from iuserver.cli.links import sign_in_url
from iuserver.cli.logs import configure_logs
from iuserver.errors import Fault
from iuserver.server import Server
from iuserver.settings import Settings, SettingsError

log = logging.getLogger("iuserver")

DEMO_EMAIL = "demo@localhost"
DEMO_PLAN = "pro"


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_data_options(parser)
    parser.add_argument("--host", metavar="H", help="address to listen on (IPv4, IPv6, unix:PATH)")
    parser.add_argument("--port", metavar="P", help="port to listen on; 0 = any free one")
    parser.add_argument("--log-format", choices=("text", "json"))
    parser.add_argument(
        "--demo", action="store_true", help="make a demo account, and print a line and a link to try it with"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve. 0 after a clean stop, 2 where the server could not start."""
    settings = settings_of(options)
    configure_logs(settings.server.log_format)
    _raise_open_files()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve(settings, options))
        except StartError as error:
            return fail(str(error), 2)
        except Fault as fault:  # a backend went away while the server started
            return fail(fault.message, 2)
    return 0


def _raise_open_files() -> None:
    """Each connection is an open file, and the usual limit is that of a person at a terminal."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(settings: Settings, options: argparse.Namespace) -> None:
    server = Server(settings)
    await server.start()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, server, options)
    for number in (signal.SIGTERM, signal.SIGINT):  # until now they just end the process: nothing is in progress
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    print(f"listening on {server.url}", flush=True)
    if options.demo and not settings.server.read_only:
        await _introduce(server, settings)
    await stopped.wait()
    await server.stop()


def _reload(server: Server, options: argparse.Namespace) -> None:
    """Read plans and limits again; where they cannot be used, the old ones stay."""
    try:
        server.reload(settings_of(options))
    except SettingsError as error:
        log.error("settings not read again: %s", error)
    else:
        log.info("plans and limits read again")


async def _introduce(server: Server, settings: Settings) -> None:
    """On the first start a demo account and a line to paste; later how to get a new key, as keys are shown once. Below
    that, a link to sign in with once."""
    try:
        made = await server.accounts.add(DEMO_EMAIL, DEMO_PLAN, admin=True)
    except Fault:
        rotate = f"{_program()} user rotate-key {DEMO_EMAIL} --data {settings.server.data}"
        print(f"The demo account is there already. For a new key:\n\n  {rotate}\n", flush=True)
    else:
        print(
            f"Upload a picture with the demo account (its key is shown this once):\n\n"
            f'  curl -H "Authorization: Bearer {made.key}" -F "file=@photo.jpg" {server.url}/api/upload\n',
            flush=True,
        )
    await _introduce_pages(server, settings)


async def _introduce_pages(server: Server, settings: Settings) -> None:
    account = await server.accounts.named(DEMO_EMAIL)
    if account.disabled:
        return
    if not account.admin:  # 0.1.0 made it
        account = await server.accounts.set_admin(DEMO_EMAIL, True)
    token = (await server.accounts.make_link(account)).token
    url = sign_in_url(settings, token, server.url)
    print(f"Sign in as the demo account, an admin (the link works once, for a day):\n\n  {url}\n", flush=True)


def _program() -> str:
    """How this program was called, as it can be typed again."""
    if sys.argv[0].endswith(".py"):
        return f"{os.path.relpath(sys.executable)} {os.path.relpath(sys.argv[0])}"
    return sys.argv[0]
