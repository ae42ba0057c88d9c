"""`iuserver user …`: creates and manages accounts, with or without a running server."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from iuserver.accounts import Accounts, NewKey
from iuserver.backends import StartError, open_catalog
from iuserver.cli import add_data_options, fail, settings_of
from iuserver.errors import Fault
from iuserver.records import Account
from iuserver.server import accounts_of, opened_library
from iuserver.settings import Settings

Action = Callable[[Accounts, argparse.Namespace], Awaitable[list[dict[str, Any]]]]


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's actions and their options."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, (action, summary, arguments) in _ACTIONS.items():
        one = actions.add_parser(name, help=summary, description=summary.capitalize() + ".")
        for argument in arguments:
            one.add_argument(argument)
        if name == "add":
            one.add_argument("--plan", default="free")
        add_data_options(one)
        one.set_defaults(run=run, action=action)


def run(options: argparse.Namespace) -> int:
    """Do the action and print what it tells, one JSON object a line."""
    settings = settings_of(options)
    try:
        lines = asyncio.run(_act(options, settings))
    except Fault as fault:
        return fail(fault.message)
    except StartError as error:
        return fail(str(error), 2)
    for line in lines:
        print(orjson.dumps(line).decode())
    return 0


async def _act(options: argparse.Namespace, settings: Settings) -> list[dict[str, Any]]:
    catalog = await open_catalog(settings)
    action: Action = options.action
    try:
        return await action(accounts_of(catalog, settings), options)
    finally:
        await catalog.close()


async def _add(accounts: Accounts, options: argparse.Namespace) -> list[dict[str, Any]]:
    return [_with_key(await accounts.add(options.email, options.plan))]


async def _list(accounts: Accounts, options: argparse.Namespace) -> list[dict[str, Any]]:
    return [_described(account) for account in await accounts.all()]


async def _plan(accounts: Accounts, options: argparse.Namespace) -> list[dict[str, Any]]:
    return [_described(await accounts.put_on_plan(options.email, options.plan))]


async def _rotate_key(accounts: Accounts, options: argparse.Namespace) -> list[dict[str, Any]]:
    return [_with_key(await accounts.rotate_key(options.email))]


async def _disable(accounts: Accounts, options: argparse.Namespace) -> list[dict[str, Any]]:
    return [_described(await accounts.disable(options.email))]


async def _enable(accounts: Accounts, options: argparse.Namespace) -> list[dict[str, Any]]:
    return [_described(await accounts.enable(options.email))]


async def _remove(accounts: Accounts, options: argparse.Namespace) -> list[dict[str, Any]]:
    async with opened_library(settings_of(options)) as library:
        return [_described(await accounts.remove(options.email, library.delete_all_of))]


_ACTIONS: dict[str, tuple[Action, str, tuple[str, ...]]] = {
    "add": (_add, "make an account; its key is shown this once", ("email",)),
    "list": (_list, "list the accounts", ()),
    "plan": (_plan, "put an account on a plan", ("email", "plan")),
    "rotate-key": (_rotate_key, "replace an account's key; the new one is shown this once", ("email",)),
    "disable": (_disable, "let an account's key count as wrong", ("email",)),
    "remove": (_remove, "delete an account and its images", ("email",)),
    "enable": (_enable, "let an account's key count again", ("email",)),
}


def _with_key(made: NewKey) -> dict[str, Any]:
    return {"email": made.account.email, "plan": made.account.plan, "api_key": made.key}


def _described(account: Account) -> dict[str, Any]:
    return {
        "email": account.email,
        "plan": account.plan,
        "key_last4": account.key_last4,
        "disabled": account.disabled,
        "created_at": account.created_at,
        "month": account.month,
        "uploads": account.used,
        "stored_bytes": account.stored_bytes,
    }
