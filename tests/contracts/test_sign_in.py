"""The ports of signing in: credentials, sessions, invites, audit, overview. What every catalog must do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from iuserver import policy
from iuserver.ports import WholeCatalog
from iuserver.records import Account, AuditRow, Invite, OwnedImage, Session, SignInLink
from tests.contracts.conftest import Work
from tests.contracts.test_catalog import ACCOUNT, CHARGE, image, refusal

Catalogs = Callable[[Work], Any]

OTHER = replace(ACCOUNT, id="a2", email="Two@example.org", key_hash=b"i" * 32)
SESSION = Session(b"s" * 32, "a1", 0, "Firefox on Linux", "192.0.2.0/24", 1000, 1000)
LINK = SignInLink(b"l" * 32, "a1", 0, 1000, 2000)
INVITE = Invite(b"i" * 32, "pro", "for Kim", "one@example.org", 1000, 2000)


def session(number: int, **changes: Any) -> Session:
    return replace(SESSION, hash=bytes([number]) * 32, seen_at=1000 + number, **changes)


def row(number: int, at: int = 1000) -> AuditRow:
    id = policy.audit_id(at + number / 1000, "00000000")
    return AuditRow(id, at, "one@example.org", "plan_set", "two@example.org", "pro", "192.0.2.0/24")


def test_an_account_is_found_by_id_and_address(on_catalog: Catalogs) -> None:
    async def work(catalog: WholeCatalog) -> None:
        await catalog.add_account(ACCOUNT)
        assert await catalog.account("a1") == ACCOUNT
        assert await catalog.account("a2") is None
        assert await catalog.account_by_email("ONE@example.ORG") == ACCOUNT
        assert await catalog.account_by_email("two@example.org") is None

    on_catalog(work)


def test_what_is_for_signing_in_persists(on_catalog: Catalogs) -> None:
    async def change(catalog: WholeCatalog) -> None:
        await catalog.add_account(replace(ACCOUNT, admin=True, password_hash="$argon2id$old"))
        changed = await catalog.set_password("a1", "$argon2id$new")
        assert (changed.password_hash, changed.epoch) == ("$argon2id$new", 1)
        assert (await catalog.set_admin("One@example.org", False)).admin is False
        assert (await catalog.next_epoch("a1")).epoch == 2
        await catalog.note_key_uses([ACCOUNT.key_hash, b"of nobody"], 86400)

    on_catalog(change)
    account: Account = on_catalog(lambda catalog: catalog.account("a1"))
    assert account == replace(ACCOUNT, password_hash="$argon2id$new", epoch=2, key_used_on=86400)
    assert on_catalog(lambda catalog: catalog.account_by_key(ACCOUNT.key_hash)) == account


def test_a_new_key_is_unused_and_an_old_one_used_late_counts_for_nothing(on_catalog: Catalogs) -> None:
    async def work(catalog: WholeCatalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.note_key_uses([ACCOUNT.key_hash], 86400)
        assert (await catalog.set_key(ACCOUNT.email, b"n" * 32, "wxyz")).key_used_on is None
        await catalog.note_key_uses([ACCOUNT.key_hash], 2 * 86400)
        account = await catalog.account("a1")
        assert account is not None
        assert account.key_used_on is None

    on_catalog(work)


def test_whoever_is_disabled_or_enabled_begins_a_new_epoch(on_catalog: Catalogs) -> None:
    async def work(catalog: WholeCatalog) -> None:
        await catalog.add_account(ACCOUNT)
        assert (await catalog.set_disabled(ACCOUNT.email, True)).epoch == 1
        assert (await catalog.set_disabled(ACCOUNT.email, False)).epoch == 2
        assert (await catalog.set_plan(ACCOUNT.email, "pro")).epoch == 2

    on_catalog(work)


def test_nothing_is_changed_of_accounts_that_there_are_not(on_catalog: Catalogs) -> None:
    async def work(catalog: WholeCatalog) -> None:
        assert await refusal(catalog.set_password("a1", "$argon2id$")) == "not_found"
        assert await refusal(catalog.set_admin("one@example.org", True)) == "not_found"
        assert await refusal(catalog.next_epoch("a1")) == "not_found"
        await catalog.note_key_uses([b"x" * 32], 86400)
        assert await catalog.accounts() == []

    on_catalog(work)


def test_a_session_persists_with_its_account(on_catalog: Catalogs) -> None:
    async def begin(catalog: WholeCatalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.add_account(OTHER)
        await catalog.add_session(SESSION, 9)
        await catalog.add_session(session(1, account_id="a2"), 9)

    on_catalog(begin)
    assert on_catalog(lambda catalog: catalog.session(SESSION.hash)) == (SESSION, ACCOUNT)
    assert on_catalog(lambda catalog: catalog.session(b"x" * 32)) is None
    assert on_catalog(lambda catalog: catalog.sessions_of("a1")) == [SESSION]


def test_sessions_are_listed_as_they_were_seen_and_the_surplus_goes(on_catalog: Catalogs) -> None:
    async def work(catalog: WholeCatalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.add_account(OTHER)
        await catalog.add_session(session(9, account_id="a2"), 3)
        for number in (2, 1, 3):
            await catalog.add_session(session(number), 3)
        assert await catalog.sessions_of("a1") == [session(3), session(2), session(1)]
        await catalog.add_session(session(4), 3)
        assert await catalog.sessions_of("a1") == [session(4), session(3), session(2)]
        await catalog.note_sessions_seen([session(2).hash, b"x" * 32], 5000)
        await catalog.note_sessions_seen([session(2).hash], 4000)
        assert await catalog.sessions_of("a1") == [replace(session(2), seen_at=5000), session(4), session(3)]
        assert await catalog.last_seen(["a1", "a2", "a3"]) == {"a1": 5000, "a2": 1009}
        assert await catalog.last_seen([]) == {}

    on_catalog(work)


def test_sessions_and_links_end(on_catalog: Catalogs) -> None:
    async def work(catalog: WholeCatalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.add_account(OTHER)
        for number in (1, 2):
            await catalog.add_session(session(number), 9)
        await catalog.add_session(session(3, account_id="a2"), 9)
        await catalog.add_link(LINK)
        await catalog.end_session(session(1).hash)
        await catalog.end_session(session(1).hash)
        assert await catalog.sessions_of("a1") == [session(2)]
        await catalog.end_sessions("a1")
        assert await catalog.sessions_of("a1") == []
        assert await catalog.link(LINK.hash) is None
        assert await catalog.session(session(3).hash) is not None

    on_catalog(work)


def test_a_link_is_taken_once(on_catalog: Catalogs) -> None:
    async def work(catalog: WholeCatalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.add_link(LINK)
        assert await catalog.link(LINK.hash) == (LINK, ACCOUNT)
        taken = await asyncio.gather(*(catalog.take_link(LINK.hash) for _ in range(3)))
        assert sorted(taken) == [False, False, True]
        assert await catalog.link(LINK.hash) is None

    on_catalog(work)


def test_an_account_takes_its_sessions_and_links_along(on_catalog: Catalogs) -> None:
    async def work(catalog: WholeCatalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.add_session(SESSION, 9)
        await catalog.add_link(LINK)
        await catalog.remove_account(ACCOUNT.email)
        assert await catalog.session(SESSION.hash) is None
        assert await catalog.link(LINK.hash) is None
        assert await catalog.ownerless() == 0
        await catalog.add_account(ACCOUNT)
        assert await catalog.sessions_of("a1") == []

    on_catalog(work)


def test_a_session_that_comes_after_its_account_has_gone_does_no_harm(on_catalog: Catalogs) -> None:
    """A sign-in is under way while an admin removes the account."""

    async def work(catalog: WholeCatalog) -> None:
        await catalog.add_session(SESSION, 9)
        await catalog.add_link(LINK)
        assert await catalog.session(SESSION.hash) is None
        assert await catalog.link(LINK.hash) is None
        left = await catalog.ownerless()
        assert await catalog.purge_ownerless(9) == left
        assert await catalog.ownerless() == 0

    on_catalog(work)


def test_old_sessions_and_links_are_purged(on_catalog: Catalogs) -> None:
    async def work(catalog: WholeCatalog) -> None:
        await catalog.add_account(ACCOUNT)
        for number in range(5):
            await catalog.add_session(session(number, created_at=1000 + 10 * number), 9)
            await catalog.add_link(replace(LINK, hash=bytes([number]) * 32, expires_at=2000 + number))
        assert await catalog.purge_sessions(0, 1001, 9) == 1, "the first was seen before that"
        assert await catalog.purge_sessions(1020, 0, 9) == 1, "the second was made before that"
        assert await catalog.sessions_of("a1") == [session(n, created_at=1000 + 10 * n) for n in (4, 3, 2)]
        assert await catalog.purge_sessions(9999, 9999, 2) == 2
        assert await catalog.purge_links(2001, 9) == 2
        assert await catalog.purge_links(9999, 2) == 2
        assert await catalog.purge_links(9999, 2) == 1

    on_catalog(work)


def test_invites_are_listed_taken_once_and_purged(on_catalog: Catalogs) -> None:
    async def work(catalog: WholeCatalog) -> None:
        invites = [replace(INVITE, hash=bytes([n]) * 32, created_at=1000 + n, expires_at=2000 + n) for n in range(4)]
        for invite in invites:
            await catalog.add_invite(invite)
        assert await catalog.invites() == invites[::-1]
        assert await catalog.invite(invites[1].hash) == invites[1]
        taken = await asyncio.gather(*(catalog.take_invite(invites[1].hash) for _ in range(3)))
        assert sorted(taken) == [False, False, True]
        assert await catalog.invite(invites[1].hash) is None
        assert await catalog.purge_invites(2002, 1) == 1
        assert await catalog.purge_invites(2002, 9) == 1
        assert await catalog.invites() == [invites[3]]

    on_catalog(work)


def test_the_audit_log_goes_by_time_in_pages_and_is_purged(on_catalog: Catalogs) -> None:
    async def work(catalog: WholeCatalog) -> None:
        rows = [row(number) for number in range(5)] + [row(0, at=2000)]
        for one in (rows[3], *rows[:3], *rows[4:]):
            await catalog.add_audit(one)
        assert await catalog.audit_page(None, 2) == [rows[5], rows[4]]
        assert await catalog.audit_page(rows[4].id, 9) == rows[3::-1]
        assert await catalog.audit_page(rows[0].id, 9) == []
        assert await catalog.purge_audit(2000, 3) == 3
        assert await catalog.purge_audit(2000, 9) == 2
        assert await catalog.audit_page(None, 9) == [rows[5]]

    on_catalog(work)


def test_accounts_are_searched_by_address_in_pages(on_catalog: Catalogs) -> None:
    async def work(catalog: WholeCatalog) -> None:
        addresses = ["B@x.org", "a@x.org", "c_%.d@x.org", "c@Y.org", "émile@x.org", "É@x.org"]
        for number, email in enumerate(addresses):
            await catalog.add_account(replace(ACCOUNT, id=f"n{number}", email=email, key_hash=bytes([number]) * 32))
        found = [account.email for account in await catalog.accounts_page("", "", 9)]
        assert found == ["a@x.org", "B@x.org", "c@Y.org", "c_%.d@x.org", "É@x.org", "émile@x.org"]
        assert [one.email for one in await catalog.accounts_page("", "B@X.org", 2)] == found[2:4]
        assert [one.email for one in await catalog.accounts_page("X.ORG", "", 2)] == found[:2]
        assert [one.email for one in await catalog.accounts_page("_%.", "", 9)] == ["c_%.d@x.org"]
        assert [one.email for one in await catalog.accounts_page("é", "", 9)] == ["émile@x.org"]
        assert await catalog.accounts_page("nobody", "", 9) == []

    on_catalog(work)


def test_the_newest_images_of_all_come_in_pages_without_tombstones(on_catalog: Catalogs) -> None:
    async def work(catalog: WholeCatalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.add_account(OTHER)
        charges = {
            "a1": replace(CHARGE, uploads_limit=0),
            "a2": replace(CHARGE, uploads_limit=0, account_id="a2", key_hash=OTHER.key_hash),
        }
        images = [
            image(number, account_id=f"a{1 + number % 2}", created_at=1000 + number // 2, view_limit=1)
            for number in range(7)
        ]
        for one in images:
            await catalog.commit_upload(one, charges[one.account_id])
        await catalog.claim_view(images[6].slug, images[6].blob, b"v" * 16, None, 1000)
        assert await catalog.bury_image(images[6].slug, images[6].blob, 2000) is not None
        emails = {"a1": ACCOUNT.email, "a2": OTHER.email}
        expected = [OwnedImage(one, emails[one.account_id]) for one in images[5::-1]]
        first = await catalog.newest_images(None, 3)
        assert first == expected[:3]
        last = first[-1].image
        assert await catalog.newest_images((last.created_at, last.slug), 9) == expected[3:]
        assert await catalog.all_stored_bytes() == sum(one.size for one in images[:6])

    on_catalog(work)


def test_an_empty_catalog_has_nothing_stored(on_catalog: Catalogs) -> None:
    async def work(catalog: WholeCatalog) -> None:
        assert await catalog.all_stored_bytes() == 0
        assert await catalog.newest_images(None, 9) == []
        assert await catalog.accounts_page("", "", 9) == []

    on_catalog(work)
