"""A data folder that 0.1.0 left: everything in it goes on, and its accounts can sign in."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from iuserver.catalog.sqlite import SqliteCatalog
from iuserver.records import Account, Client
from tests import pictures
from tests.running import running
from tests.surfaces.test_cli import told

DUMP = Path(__file__).parents[1] / "catalog_0_1_0.sql"
KEY = "iu_live_ciFYKxGQNO5v4gKxgTblKWdyIJ5SK6zwlITyyG"
"""Of user1@example.org; user2@example.org is disabled."""
WRITTEN = 1_795_982_600
HERE = Client("192.0.2.1", "192.0.2.0/24", "Firefox on Linux")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    connection = sqlite3.connect(tmp_path / "catalog.db")
    connection.executescript(DUMP.read_text())
    connection.close()
    return tmp_path


def test_the_accounts_of_0_1_0_have_no_password_and_no_role(data: Path) -> None:
    async def accounts() -> list[Account]:
        catalog = SqliteCatalog(data / "catalog.db")
        try:
            return await catalog.accounts()
        finally:
            await catalog.close()

    one, other = asyncio.run(accounts())
    assert (one.email, one.plan, one.key_last4, one.used, one.stored_bytes) == (
        "user1@example.org",
        "pro",
        "TyyG",
        2,
        5060,
    )
    assert (other.email, other.disabled, other.used) == ("user2@example.org", True, 3)
    for account in (one, other):
        assert (account.password_hash, account.role, account.epoch, account.key_used_on) == (None, "user", 0, None)


def test_a_key_of_0_1_0_goes_on_and_its_account_signs_in(data: Path) -> None:
    with running(data, imaging={"workers": 1}) as server:
        server.clock.set(WRITTEN)
        listed = server.get("/api/images", KEY).json()
        assert {image["slug"] for image in listed["images"]} == {"zDFguOB0", "29dvOsLY"}
        assert [folder["count"] for folder in server.get("/api/folders", KEY).json()["folders"]] == [1]
        assert server.upload(KEY, pictures.phone_jpeg()).json()["quota"]["used"] == 3
        accounts, sign_in = server.server.accounts, server.server._services.sign_in
        account = server.call(accounts.set_admin("user1@example.org", True))
        link = server.call(accounts.make_link(account))
        signed_in = server.call(sign_in.by_link(link.token, HERE))
        caller = server.call(sign_in.caller(signed_in.token))
        assert (caller.account.email, caller.admin) == ("user1@example.org", True)
        server.call(sign_in.change_password(caller, None, "correct horse", HERE))
        assert server.call(sign_in.by_password("user1@example.org", "correct horse", HERE))


def test_commands_work_on_it(data: Path) -> None:
    assert told("user", "role", "user1@example.org", "admin", "--data", str(data))["role"] == "admin"
    assert told("user", "link", "user1@example.org", "--data", str(data))["email"] == "user1@example.org"
