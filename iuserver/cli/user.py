"""`iuserver user …`: creates and manages accounts, with or without a running server."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from typing import Any, get_args

import orjson

from iuserver import forms
from iuserver.accounts import DEFAULT_PLAN, Accounts, NewKey
from iuserver.backends import StartError, open_catalog
from iuserver.cli import add_data_options, fail, settings_of
from iuserver.cli.links import sign_in_url
from iuserver.errors import Fault
from iuserver.passwords import Passwords
from iuserver.records import Account, Role
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
            one.add_argument("--plan", default=DEFAULT_PLAN)
            one.add_argument("--admin", action="store_true", help="let it see and manage all accounts")
        if name in ("add", "passwd"):
            one.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
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
    encoded = await _hashed(_first_line()) if options.password_stdin else None
    made = await accounts.add(options.email, options.plan, admin=options.admin, password_hash=encoded)
    link = await accounts.make_link(made.account)
    url = sign_in_url(settings_of(options), link.token)
    return [{**_with_key(made), "role": made.account.role, "sign_in_url": url}]


async def _role(accounts: Accounts, options: argparse.Namespace) -> list[dict[str, Any]]:
    if options.role not in get_args(Role):
        raise Fault("bad_field", f"There is no role {options.role!r}; there are {', '.join(get_args(Role))}")
    return [_described(await accounts.set_admin(options.email, options.role == "admin"))]


async def _link(accounts: Accounts, options: argparse.Namespace) -> list[dict[str, Any]]:
    made = await accounts.make_link(await accounts.named(options.email))
    url = sign_in_url(settings_of(options), made.token)
    return [{"email": made.account.email, "sign_in_url": url, "expires_at": made.link.expires_at}]


async def _passwd(accounts: Accounts, options: argparse.Namespace) -> list[dict[str, Any]]:
    account = await accounts.named(options.email)
    encoded = await _hashed(_first_line() if options.password_stdin else _asked())
    return [{"email": (await accounts.set_password(account, encoded)).email}]


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
    "role": (_role, "make an account an admin's, or a user's", ("email", "role")),
    "link": (_link, "make a link that signs in once, within a day", ("email",)),
    "passwd": (_passwd, "set an account's password, and end its sessions", ("email",)),
    "disable": (_disable, "let an account's key count as wrong, and end its sessions", ("email",)),
    "remove": (_remove, "delete an account and its images", ("email",)),
    "enable": (_enable, "let an account's key count again", ("email",)),
}


async def _hashed(password: str) -> str:
    """The stored form of a new password. Raises Fault("bad_field")."""
    passwords = Passwords(1, 1)
    try:
        return await passwords.hash(forms.account_password(password), "operator")
    finally:
        await passwords.close()


def _first_line() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _asked() -> str:
    """A password typed at a terminal, twice. Raises Fault("bad_field")."""
    if not sys.stdin.isatty():
        raise Fault("bad_field", "There is no terminal to ask at: use --password-stdin")
    password = getpass.getpass("New password: ")
    if getpass.getpass("Again: ") != password:
        raise Fault("bad_field", "The passwords are not the same")
    return password


def _with_key(made: NewKey) -> dict[str, Any]:
    return {"email": made.account.email, "plan": made.account.plan, "api_key": made.key}


def _described(account: Account) -> dict[str, Any]:
    return {
        "email": account.email,
        "plan": account.plan,
        "role": account.role,
        "key_last4": account.key_last4,
        "disabled": account.disabled,
        "created_at": account.created_at,
        "month": account.month,
        "uploads": account.used,
        "stored_bytes": account.stored_bytes,
    }
