"""The command line: one module per command, imported only when it runs. `main` is the console script."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iuserver import __version__

if TYPE_CHECKING:  # the clients have no use for it, and begin without it in a third of the time
    from iuserver.settings import Settings

COMMANDS = {
    "serve": "run the server",
    "sweep": "delete what has expired and what crashes have left, once",
    "backup": "copy records and bytes to a folder, also while the server runs",
    "restore": "make the data folder of a new server from a backup",
    "doctor": "try a server out through its public address, and name what is wrong",
    "fsck": "compare records, bytes and counts, and repair them",
    "copy-catalog": "copy all records to another catalog",
    "user": "make and manage accounts, also while the server runs",
    "copy-blobs": "copy the bytes of all images to another store, and compare",
    "block": "keep the list of pictures that nobody may upload, also while the server runs",
    "upload": "send pictures to a server",
    "licences": "name everything that this program is made of, with its licence",
    "mcp-stdio": "let an agent's host speak to a server",
}
HIDDEN = {"seed": "fill a new data folder with accounts and records, for measurements"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0, 1 where it failed, 2 where it could not begin."""
    parser = argparse.ArgumentParser(prog="iuserver", description="An image-upload server to run yourself.")
    parser.add_argument("--version", action="version", version=f"iuserver {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    argv = list(sys.argv[1:] if arguments is None else arguments)
    for name, summary in {**COMMANDS, **HIDDEN}.items():
        shown: dict[str, Any] = {"help": summary} if name in COMMANDS else {}
        command = commands.add_parser(name, description=summary.capitalize() + ".", **shown)
        if argv[:1] == [name]:
            importlib.import_module(f"iuserver.cli.{name.replace('-', '_')}").configure(command)
    options = parser.parse_args(argv)
    os.umask(0o077)  # what a command makes is its user's alone
    try:
        return int(options.run(options))
    except ValueError as error:
        from iuserver.settings import SettingsError

        if not isinstance(error, SettingsError):
            raise
        return fail(str(error), 2)


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """The options of every command that works on a server's data."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings that override the defaults")
    parser.add_argument("--data", metavar="DIR", help="the data folder (server.data)")


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings, with the options as the last word. Raises SettingsError."""
    from iuserver.settings import load

    environ = dict(os.environ)
    for option, variable in {
        "data": "IUSERVER_SERVER_DATA",
        "host": "IUSERVER_SERVER_HOST",
        "port": "IUSERVER_SERVER_PORT",
        "log_format": "IUSERVER_SERVER_LOG_FORMAT",
    }.items():
        if getattr(options, option, None) is not None:
            environ[variable] = getattr(options, option)
    return load(options.config, environ)


def fail(message: str, status: int = 1) -> int:
    """Say in one line what went wrong."""
    print(f"iuserver: {message}", file=sys.stderr)
    return status
