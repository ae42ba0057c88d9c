"""The port Catalog: what every implementation must do. Real files, real commits."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from iuserver import policy
from iuserver.catalog.mongo import MongoCatalog
from iuserver.catalog.sqlite import SELECT_LIKE, SqliteCatalog
from iuserver.errors import Fault
from iuserver.forms import search_name
from iuserver.ports import MAX_GRANTS, Catalog
from iuserver.records import (
    Account,
    AccountCounts,
    Block,
    Charge,
    Claim,
    Folder,
    Grant,
    IdempotentResult,
    Image,
    ImagePage,
    ListQuery,
    Position,
    Sort,
)
from tests.contracts.conftest import Opening, Work

ACCOUNT = Account("a1", "one@example.org", "free", b"h" * 32, "abcd", 100)
IMAGE = Image(
    slug="slugslug",
    blob="b" * 32,
    account_id="a1",
    filename="ü.jpg",
    ext="jpg",
    mime="image/jpeg",
    size=1000,
    width=3,
    height=2,
    expiration="views",
    expires_at=5000,
    view_limit=3,
    password_hash="$argon2id$",
    folder=None,
    upload_source="api",
    created_at=200,
    hdr=True,
)
CHARGE = Charge("a1", ACCOUNT.key_hash, 1_795_000_000, "2026-11", uploads_limit=10, storage_limit=0)

CLAIM = Claim("key", "first", b"fingerprint")
OTHER_CLAIM = Claim("key", "second", b"other fingerprint")
THIRD_CLAIM = Claim("key", "third", b"fingerprint")


def image(number: int, **changes: Any) -> Image:
    return replace(IMAGE, **{"slug": f"slug{number:04}", "blob": f"{number:032x}", **changes})


async def refusal(work: Awaitable[Any]) -> str:
    with pytest.raises(Fault) as caught:
        await work
    return caught.value.code


def test_an_account_is_found_by_its_key(on_catalog: Callable[[Work], Any]) -> None:
    on_catalog(lambda catalog: catalog.add_account(ACCOUNT))
    assert on_catalog(lambda catalog: catalog.account_by_key(ACCOUNT.key_hash)) == ACCOUNT
    assert on_catalog(lambda catalog: catalog.account_by_key(b"x" * 32)) is None


def test_an_address_has_one_account_whatever_its_case(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        twin = replace(ACCOUNT, id="a2", email="ONE@example.org", key_hash=b"i" * 32)
        assert await refusal(catalog.add_account(twin)) == "name_taken"
        assert await catalog.accounts() == [ACCOUNT]

    on_catalog(work)


def test_an_account_changes_plan_key_and_state(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        assert (await catalog.set_plan(ACCOUNT.email, "pro")).plan == "pro"
        assert (await catalog.set_disabled(ACCOUNT.email, True)).disabled is True
        changed = await catalog.set_key(ACCOUNT.email, b"n" * 32, "wxyz")
        assert await catalog.account_by_key(ACCOUNT.key_hash) is None
        assert await catalog.account_by_key(b"n" * 32) == changed
        assert await catalog.accounts() == [changed]

    on_catalog(work)


def test_an_account_that_is_not_there_cannot_be_changed(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        assert await refusal(catalog.set_plan("no@example.org", "pro")) == "not_found"
        assert await refusal(catalog.set_key("no@example.org", b"n" * 32, "wxyz")) == "not_found"
        assert await refusal(catalog.set_disabled("no@example.org", True)) == "not_found"

    on_catalog(work)


def test_a_commit_stores_record_charge_and_ledger_row(on_catalog: Callable[[Work], Any]) -> None:
    async def store(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        account = await catalog.commit_upload(IMAGE, CHARGE)
        assert account == replace(ACCOUNT, month="2026-11", used=1, stored_bytes=1000)

    async def look(catalog: Catalog) -> None:
        assert await catalog.image(IMAGE.slug) == IMAGE
        assert await catalog.image("elsewhat") is None
        assert await catalog.ledger("a1", "2026-11") == 1
        assert await catalog.ledger("a1", "2026-12") == 0
        found = await catalog.account_by_key(ACCOUNT.key_hash)
        assert found
        assert (found.used, found.stored_bytes) == (1, 1000)

    on_catalog(store)
    on_catalog(look)


def test_an_upload_that_does_not_count_is_charged_its_bytes_alone(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.commit_upload(image(0), replace(CHARGE, uploads_limit=1))
        account = await catalog.commit_upload(image(1), replace(CHARGE, uploads_limit=1, counted=False))
        assert (account.used, account.stored_bytes) == (1, 2000)
        assert await catalog.ledger("a1", "2026-11") == 1
        assert [counts for counts in await catalog.counts("2026-11", "", 9) if counts.drifted] == []

    on_catalog(work)


def test_an_upload_of_a_session_does_not_depend_on_the_key(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.set_key(ACCOUNT.email, b"n" * 32, "new4")
        account = await catalog.commit_upload(image(0), replace(CHARGE, key_hash=None))
        assert account.stored_bytes == 1000
        await catalog.set_disabled(ACCOUNT.email, True)
        with pytest.raises(Fault, match="key"):
            await catalog.commit_upload(image(1), replace(CHARGE, key_hash=None))

    on_catalog(work)


@pytest.mark.parametrize(
    ("charge", "changes", "code"),
    [
        (replace(CHARGE, key_hash=b"old" * 10), {}, "invalid_key"),
        (replace(CHARGE, account_id="a9"), {"account_id": "a9"}, "invalid_key"),
        (replace(CHARGE, uploads_limit=1), {}, "quota_exceeded"),
        (replace(CHARGE, storage_limit=1999), {}, "storage_quota_exceeded"),
        (CHARGE, {"slug": "slug0000"}, "slug_taken"),
    ],
)
def test_a_refused_commit_stores_nothing(
    on_catalog: Callable[[Work], Any], charge: Charge, changes: dict[str, Any], code: str
) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.commit_upload(image(0), CHARGE)
        before = await catalog.accounts()
        refused = replace(image(1), **changes)
        assert await refusal(catalog.commit_upload(refused, charge)) == code
        assert await catalog.accounts() == before
        assert await catalog.ledger("a1", "2026-11") == 1
        assert await catalog.image("slug0001") is None

    on_catalog(work)


def test_a_disabled_account_cannot_commit(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.set_disabled(ACCOUNT.email, True)
        assert await refusal(catalog.commit_upload(IMAGE, CHARGE)) == "invalid_key"

    on_catalog(work)


def test_a_new_month_begins_at_one(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.commit_upload(image(1), replace(CHARGE, uploads_limit=1))
        later = await catalog.commit_upload(image(2), replace(CHARGE, uploads_limit=1, month="2026-12"))
        assert (later.month, later.used, later.stored_bytes) == ("2026-12", 1, 2000)

    on_catalog(work)


async def outcome(commit: Awaitable[Any]) -> str:
    try:
        await commit
    except Fault as fault:
        return fault.code
    return "stored"


def test_of_many_commits_at_once_exactly_as_many_succeed_as_there_is_room(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        commits = (catalog.commit_upload(image(number, size=number), CHARGE) for number in range(64))
        outcomes = await asyncio.gather(*map(outcome, commits))
        stored = [number for number, outcome in enumerate(outcomes) if outcome == "stored"]
        assert len(stored) == 10
        assert set(outcomes) == {"stored", "quota_exceeded"}
        (account,) = await catalog.accounts()
        assert account.used == await catalog.ledger("a1", "2026-11") == 10
        assert account.stored_bytes == sum(stored)
        assert [found.slug for found in await catalog.images_page("", 99)] == [f"slug{number:04}" for number in stored]

    on_catalog(work)


def test_of_many_commits_at_once_those_that_are_refused_undo_none_of_their_neighbours(
    on_catalog: Callable[[Work], Any],
) -> None:
    """Every eighth wants the same slug, every ninth has too much to store."""

    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        charge = replace(CHARGE, uploads_limit=0, storage_limit=10_000)
        images = [image(number, size=20_000 if number % 9 == 4 else 100) for number in range(64)]
        wanted = [image if number % 8 else replace(image, slug="slug") for number, image in enumerate(images)]
        outcomes = await asyncio.gather(*(outcome(catalog.commit_upload(image, charge)) for image in wanted))
        stored = [image for image, outcome in zip(wanted, outcomes, strict=True) if outcome == "stored"]
        assert (outcomes.count("slug_taken"), outcomes.count("storage_quota_exceeded")) == (6, 7)
        assert await catalog.images_page("", 99) == sorted(stored, key=lambda image: image.slug)
        (account,) = await catalog.accounts()
        assert account.used == await catalog.ledger("a1", "2026-11") == len(stored) == 51
        assert account.stored_bytes == 5100

    on_catalog(work)


def test_a_deleted_image_gives_its_bytes_back_but_not_its_count(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        for number in (1, 2):
            await catalog.commit_upload(image(number), CHARGE)
        assert await catalog.delete_image("slug0001", "another blob", 300) is None
        assert await catalog.delete_image("slug0001", image(1).blob, 300) == image(1)
        assert await catalog.delete_image("slug0001", image(1).blob, 300) is None
        assert await catalog.image("slug0001") is None
        assert await catalog.images_page("", 9) == [image(2)]
        (account,) = await catalog.accounts()
        assert (account.used, account.stored_bytes) == (2, 1000)
        assert await catalog.ledger("a1", "2026-11") == 2

    on_catalog(work)


def test_the_slug_of_a_deleted_image_is_free_again_later(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.commit_upload(image(1), CHARGE)
        await catalog.delete_image("slug0001", image(1).blob, keep_slug_until=300)
        again = replace(image(1), blob="c" * 32, created_at=299)
        assert await refusal(catalog.commit_upload(again, CHARGE)) == "slug_taken"
        await catalog.commit_upload(replace(again, created_at=300), CHARGE)

    on_catalog(work)


def test_of_many_who_delete_an_image_at_once_one_has_done_it(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.commit_upload(IMAGE, CHARGE)
        deleted = await asyncio.gather(*(catalog.delete_image(IMAGE.slug, IMAGE.blob, 300) for _ in range(20)))
        assert [found for found in deleted if found] == [IMAGE]
        assert (await catalog.accounts())[0].stored_bytes == 0

    on_catalog(work)


BURN = replace(IMAGE, expiration="burn", view_limit=None)


def viewer(number: int) -> bytes:
    return number.to_bytes(16, "big")


def test_of_many_viewers_at_once_as_many_see_an_image_as_may(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.commit_upload(BURN, CHARGE)
        await catalog.commit_upload(image(3, view_limit=3), CHARGE)
        for record, allowed in ((BURN, 1), (image(3), 3)):
            claims = (catalog.claim_view(record.slug, record.blob, viewer(n), None, 1000 + n) for n in range(100))
            seen = [claimed for claimed in await asyncio.gather(*claims) if claimed]
            assert len(seen) == allowed
            assert sorted(claimed.views for claimed in seen) == list(range(1, allowed + 1))
            left = await catalog.image(record.slug)
            assert left == max(seen, key=lambda claimed: claimed.views)
            assert left.used_up
            assert left.let_go_at == left.viewed_at

    on_catalog(work)


def test_a_viewer_counts_once_and_may_look_until_the_last_one_has(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.commit_upload(IMAGE, CHARGE)

        async def views(who: int, now: int) -> int | None:
            claimed = await catalog.claim_view(IMAGE.slug, IMAGE.blob, viewer(who), None, now)
            return claimed and claimed.views

        told = [await views(who, 1000 + at) for at, who in enumerate((1, 1, 2, 1, 3, 4, 1))]
        assert told == [1, 1, 2, 2, 3, None, None]
        found = await catalog.image(IMAGE.slug)
        assert found == replace(IMAGE, views=3, viewed_at=1004, let_go_at=1004)

    on_catalog(work)


def test_a_view_is_refused_for_what_is_gone_expired_or_another_blob(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.commit_upload(IMAGE, CHARGE)
        grant = Grant(b"g" * 32, 9000)
        assert await catalog.claim_view("elsewhat", IMAGE.blob, viewer(1), grant, 1000) is None
        assert await catalog.claim_view(IMAGE.slug, "c" * 32, viewer(1), grant, 1000) is None
        assert await catalog.claim_view(IMAGE.slug, IMAGE.blob, viewer(1), grant, 5000) is None
        assert not await catalog.has_grant(IMAGE.slug, grant.hash, 1000)
        assert await catalog.image(IMAGE.slug) == IMAGE

    on_catalog(work)


def test_a_grant_holds_until_it_lapses_and_the_last_one_keeps_the_bytes(on_catalog: Callable[[Work], Any]) -> None:
    async def claim(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.commit_upload(image(1, view_limit=2), CHARGE)
        one, blob = image(1).slug, image(1).blob
        assert await catalog.claim_view(one, blob, viewer(1), Grant(b"1" * 32, 1060), 1000)
        again = await catalog.claim_view(one, blob, viewer(1), Grant(b"2" * 32, 1070), 1010)
        assert again
        assert (again.views, again.let_go_at) == (1, None)
        last = await catalog.claim_view(one, blob, viewer(2), None, 1020)
        assert last
        assert (last.views, last.let_go_at) == (2, 1070)

    async def look(catalog: Catalog) -> None:
        one = image(1).slug
        assert await catalog.has_grant(one, b"1" * 32, 1059)
        assert not await catalog.has_grant(one, b"1" * 32, 1060)
        assert await catalog.has_grant(one, b"2" * 32, 1069)
        assert not await catalog.has_grant("slug0002", b"2" * 32, 1069)
        assert not await catalog.has_grant(one, b"3" * 32, 1000)
        assert await catalog.to_bury(1069, 9) == []
        assert [found.slug for found in await catalog.to_bury(1070, 9)] == [one]
        assert await catalog.purge_grants(1060, 9) == 1
        assert await catalog.has_grant(one, b"2" * 32, 1060)
        assert [await catalog.purge_grants(1070, 9) for _ in range(2)] == [1, 0]

    on_catalog(claim)
    on_catalog(look)


def test_so_many_grants_of_an_image_are_kept_and_no_more(
    on_catalog: Callable[[Work], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has been counted may ask again and again: the oldest grants give way."""

    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.commit_upload(IMAGE, CHARGE)
        most, module = MAX_GRANTS, sys.modules[type(catalog).__module__]
        if hasattr(module, "MAX_GRANTS"):  # else it is another process that keeps them
            most = 3
            monkeypatch.setattr(module, "MAX_GRANTS", most)
        words = [number.to_bytes(32, "big") for number in range(most + 2)]
        for number, word in enumerate(words):
            await catalog.claim_view(IMAGE.slug, IMAGE.blob, viewer(1), Grant(word, 1060 + number), 1000 + number)
        assert [await catalog.has_grant(IMAGE.slug, word, 1010) for word in words] == [
            False,
            False,
            *[True] * most,
        ]

    on_catalog(work)


def test_a_buried_image_leaves_a_tombstone_and_gives_its_bytes_back(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.commit_upload(BURN, CHARGE)
        await catalog.commit_upload(image(2), CHARGE)
        assert await catalog.bury_image(BURN.slug, BURN.blob, 1000) is None, "nobody has seen it"
        grant = Grant(b"g" * 32, 1060)
        seen = await catalog.claim_view(BURN.slug, BURN.blob, viewer(1), grant, 1000)
        assert await catalog.bury_image(BURN.slug, BURN.blob, 1059) is None, "somebody holds a grant"
        assert await catalog.bury_image(BURN.slug, "c" * 32, 1060) is None
        buried = await asyncio.gather(*(catalog.bury_image(BURN.slug, BURN.blob, 1060) for _ in range(9)))
        assert [found for found in buried if found] == [seen]
        stone = await catalog.image(BURN.slug)
        assert stone == policy.buried(replace(BURN, views=1, viewed_at=1000, let_go_at=1060), 1060)
        assert (await catalog.accounts())[0].stored_bytes == 1000
        assert (await catalog.accounts())[0].used == await catalog.ledger("a1", "2026-11") == 2
        assert not (await catalog.counts("2026-11", "", 9))[0].drifted
        assert await catalog.to_bury(9999, 9) == []
        assert not await catalog.has_grant(BURN.slug, grant.hash, 1001)
        assert await catalog.blobs_known([BURN.blob, image(2).blob]) == {image(2).blob}
        assert await catalog.claim_view(BURN.slug, BURN.blob, viewer(1), None, 1061) is None
        assert BURN.slug in [found.slug for found in await catalog.expired(5000, 9)]
        assert await catalog.delete_image(BURN.slug, BURN.blob, 9999) == stone
        assert (await catalog.accounts())[0].stored_bytes == 1000

    on_catalog(work)


def test_the_viewers_of_a_deleted_image_are_forgotten(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.commit_upload(IMAGE, CHARGE)
        grant = Grant(b"g" * 32, 4000)
        await catalog.claim_view(IMAGE.slug, IMAGE.blob, viewer(1), grant, 1000)
        await catalog.delete_image(IMAGE.slug, IMAGE.blob, 0)
        again = replace(IMAGE, blob="c" * 32)
        await catalog.commit_upload(again, CHARGE)
        assert not await catalog.has_grant(again.slug, grant.hash, 1001)
        claimed = await catalog.claim_view(again.slug, again.blob, viewer(1), grant, 1001)
        assert claimed
        assert claimed.views == 1

    on_catalog(work)


def test_an_accounts_images_are_listed_page_by_page_the_newest_first(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        other = replace(ACCOUNT, id="a2", email="two@example.org", key_hash=b"i" * 32)
        await catalog.add_account(ACCOUNT)
        await catalog.add_account(other)
        for name in ("cats", "dogs"):
            await catalog.add_folder(Folder("a1", name, name, 1), 9)
        await catalog.commit_upload(image(99, account_id="a2"), replace(CHARGE, account_id="a2", key_hash=b"i" * 32))
        for number in range(9):  # two of each second; the folders in turn
            folder = ("cats", "dogs", None)[number % 3]
            await catalog.commit_upload(image(number, created_at=200 + number // 2, folder=folder), CHARGE)

        async def numbers(folder: str | None, limit: int, offset: int) -> tuple[list[int], int]:
            page = await catalog.list_images("a1", ListQuery(folder, limit, offset))
            assert page.more == (offset + len(page.images) < page.total and offset < page.total)
            return [int(found.slug[4:]) for found in page.images], page.total

        assert await numbers(None, 100, 0) == ([8, 7, 6, 5, 4, 3, 2, 1, 0], 9)
        for limit, offset in product((1, 2, 3, 10), range(12)):
            assert await numbers(None, limit, offset) == ([8, 7, 6, 5, 4, 3, 2, 1, 0][offset : offset + limit], 9)
            assert await numbers("cats", limit, offset) == ([6, 3, 0][offset : offset + limit], 3)
        assert await numbers("", 100, 0) == ([8, 5, 2], 3)
        assert await numbers("cows", 100, 0) == ([], 0)
        await catalog.delete_image("slug0006", image(6).blob, 300)
        assert await numbers("cats", 100, 0) == ([3, 0], 2)
        assert await numbers(None, 2, 2) == ([5, 4], 8)
        assert [count for _, count in await catalog.folders("a1")] == [2, 3]
        assert await catalog.list_images("a3", ListQuery()) == ImagePage([], 0, more=False)

    on_catalog(work)


KEYS: dict[Sort, Callable[[Image], int | str]] = {
    "newest": lambda found: found.created_at,
    "oldest": lambda found: found.created_at,
    "name": lambda found: search_name(found.filename),
    "largest": lambda found: found.size,
}


async def fill(catalog: Catalog) -> list[Image]:
    """A dozen images of one account, some alike in what lists are sorted by, and one of another account."""
    other = replace(ACCOUNT, id="a2", email="two@example.org", key_hash=b"i" * 32)
    await catalog.add_account(ACCOUNT)
    await catalog.add_account(other)
    await catalog.add_folder(Folder("a1", "cats", "Cats", 1), 9)
    names = ["image.jpg", "IMAGE.jpg", "Ärger.jpg", "ärger%_.jpg", "straße.jpg", "Zoë\u0308.jpg", "日本語.jpg"]
    images = []
    for number in range(12):
        changes = {
            "filename": names[number % len(names)],
            "size": 1000 * (number % 3),
            "created_at": 200 + number // 3,
            "folder": "cats" if number % 2 else None,
            "password_hash": None if number % 4 else "$argon2id$",
            "expiration": "burn" if number == 7 else "1d",
            "view_limit": None,
            "expires_at": None if number == 5 else 5000 + number,
        }
        images.append(image(number, **changes))
        await catalog.commit_upload(images[-1], replace(CHARGE, uploads_limit=0))
    theirs = replace(CHARGE, account_id="a2", key_hash=b"i" * 32)
    await catalog.commit_upload(image(99, account_id="a2", filename="image.jpg"), theirs)
    images[7] = await catalog.claim_view(images[7].slug, images[7].blob, viewer(1), None, 1000)  # type: ignore[call-overload]
    return images


async def all_pages(catalog: Catalog, query: ListQuery) -> tuple[list[str], int]:
    """The slugs of a list, page by page behind the last one seen, and the total, which each page tells."""
    slugs: list[str] = []
    while True:
        page = await catalog.list_images("a1", query)
        assert len(page.images) <= query.limit
        slugs += [found.slug for found in page.images]
        if not page.more:
            return slugs, page.total
        last = page.images[-1]
        query = replace(query, after=Position(KEYS[query.sort](last), last.slug))


def test_lists_are_sorted_filtered_and_gone_through_by_position(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        images = await fill(catalog)
        filters: list[tuple[dict[str, Any], Callable[[Image], bool]]] = [
            ({}, lambda found: True),
            ({"folder": "cats"}, lambda found: found.folder == "cats"),
            ({"folder": ""}, lambda found: found.folder is None),
            ({"show": "password"}, lambda found: found.password_hash is not None),
            ({"show": "gone"}, lambda found: found.gone),
            ({"show": "expiring", "soon": 5006}, lambda found: (found.expires_at or 9999) <= 5006 and not found.gone),
            ({"show": "expiring", "soon": 6000}, lambda found: found.expires_at is not None and not found.gone),
            ({"name": "rger"}, lambda found: "rger" in found.filename),
            ({"name": search_name("ÄRGER%_")}, lambda found: "%_" in found.filename),
            ({"name": search_name("STRASSE")}, lambda found: "straße" in found.filename),
            ({"name": "image", "folder": "cats", "show": "expiring", "soon": 6000}, _expiring_image_of_cats),
            ({"name": ".*"}, lambda found: False),
            ({"name": "x' OR '1'='1"}, lambda found: False),
        ]
        for (changes, belongs), (sort, key), limit in product(filters, KEYS.items(), (1, 5, 12)):
            backwards = sort in ("newest", "largest")
            wanted = sorted(filter(belongs, images), key=lambda found: (key(found), found.slug), reverse=backwards)
            query = ListQuery(limit=limit, sort=sort, **changes)
            assert await all_pages(catalog, query) == ([found.slug for found in wanted], len(wanted)), query

    on_catalog(work)


def _expiring_image_of_cats(found: Image) -> bool:
    in_cats = found.folder == "cats" and search_name(found.filename) == "image.jpg"
    return in_cats and found.expires_at is not None and not found.gone


def test_any_list_can_be_counted_off_from_its_beginning(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await fill(catalog)
        for sort, changes, offset in product(KEYS, ({}, {"folder": "cats"}, {"name": "e"}), range(14)):
            query = ListQuery(limit=12, sort=sort, **changes)  # type: ignore[arg-type]
            whole = await catalog.list_images("a1", query)
            page = await catalog.list_images("a1", replace(query, limit=2, offset=offset))
            assert page.images == whole.images[offset : offset + 2]
            assert page.more == (offset + 2 < whole.total)

    on_catalog(work)


def test_a_position_stays_good_when_its_image_is_deleted(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await fill(catalog)
        first = await catalog.list_images("a1", ListQuery(limit=3))
        for found in first.images:
            await catalog.delete_image(found.slug, found.blob, 0)
        after = Position(first.images[-1].created_at, first.images[-1].slug)
        rest = await catalog.list_images("a1", ListQuery(limit=12, after=after))
        assert rest == await catalog.list_images("a1", ListQuery(limit=12))

    on_catalog(work)


def test_an_image_is_changed_unless_it_has_changed_meanwhile(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        before = (await fill(catalog))[0]
        changes = {"filename": "Neu.jpg", "folder": "cats", "expiration": "custom", "expires_at": 7000}
        after = replace(before, **changes, view_limit=None, password_hash="other")
        assert await catalog.change_image(before, after)
        assert await catalog.image(before.slug) == after
        assert not await catalog.change_image(before, replace(before, filename="late.jpg"))
        assert await catalog.image(before.slug) == after
        assert await catalog.change_image(after, after)
        assert [count for _, count in await catalog.folders("a1")] == [7]
        named = await catalog.list_images("a1", ListQuery(name="neu"))
        assert named.images == [after]
        open_to_all = replace(after, folder=None, expires_at=None, password_hash=None)
        assert await catalog.change_image(after, open_to_all)
        assert await catalog.image(before.slug) == open_to_all
        assert before.slug not in (await all_pages(catalog, ListQuery(show="password")))[0]
        assert [count for _, count in await catalog.folders("a1")] == [6]
        assert await refusal(catalog.change_image(open_to_all, replace(open_to_all, folder="dogs"))) == "bad_field"
        assert await catalog.image(before.slug) == open_to_all
        (counts, _) = await catalog.counts("2026-11", "", 9)
        assert not counts.drifted

    on_catalog(work)


def test_a_view_comes_before_a_change_that_did_not_know_of_it(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.commit_upload(IMAGE, CHARGE)
        await catalog.claim_view(IMAGE.slug, IMAGE.blob, viewer(1), None, 1000)
        assert not await catalog.change_image(IMAGE, replace(IMAGE, expires_at=9000))
        seen = await catalog.image(IMAGE.slug)
        assert seen
        assert await catalog.change_image(seen, replace(seen, filename="other.jpg"))

    on_catalog(work)


def test_many_images_are_deleted_as_one_would_be(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        images = await fill(catalog)
        asked = ["slug0001", "slug0004", "slug0099", "unknown", "slug0000", "slug0001"]
        deleted = await catalog.delete_images("a1", asked, 5000, 6000)
        assert sorted(deleted) == [(f"slug000{number}", images[number].blob) for number in (1, 4)]  # 0 has expired
        assert await catalog.delete_images("a1", ["slug0001"], 5000, 6000) == []
        assert await catalog.image("slug0001") is None
        assert await catalog.image("slug0099")
        assert (await catalog.list_images("a1", ListQuery())).total == 10
        (counts, _) = await catalog.counts("2026-11", "", 9)
        assert not counts.drifted
        assert counts.stored_bytes == sum(found.size for found in images) - images[1].size - images[4].size
        unlimited = replace(CHARGE, uploads_limit=0)
        assert await refusal(catalog.commit_upload(image(1, created_at=5999), unlimited)) == "slug_taken"

    on_catalog(work)


def test_an_answer_goes_with_its_image_when_many_are_deleted(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.claim_key("a1", CLAIM, 1000, 1100)
        await catalog.commit_upload(IMAGE, CHARGE, CLAIM)
        assert await catalog.delete_images("a1", [IMAGE.slug], 1000, 2000) == [(IMAGE.slug, IMAGE.blob)]
        assert await catalog.used_key("a1", CLAIM.key, 1000) == IdempotentResult(b"", None)

    on_catalog(work)


def test_many_images_are_moved_and_counted_where_they_are(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await fill(catalog)
        asked = ["slug0001", "slug0004", "slug0099", "unknown", "slug0006"]
        assert await catalog.move_images("a1", asked, "cats", 5000) == {"slug0001", "slug0004", "slug0006"}
        assert [count for _, count in await catalog.folders("a1")] == [8]
        assert await catalog.move_images("a1", asked, None, 5004) == {"slug0006"}  # the others have expired
        moved = await catalog.image("slug0006")
        assert moved
        assert moved.folder is None
        assert await refusal(catalog.move_images("a1", asked, "dogs", 5000)) == "bad_field"
        (counts, _) = await catalog.counts("2026-11", "", 9)
        assert not counts.drifted
        assert (await catalog.list_images("a1", ListQuery(folder="cats"))).total == 7

    on_catalog(work)


def test_a_folder_is_renamed_unless_another_has_that_name(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await fill(catalog)
        await catalog.add_folder(Folder("a1", "dogs", "Dogs", 2), 9)
        assert await catalog.rename_folder("a1", "cats", "Lions") == Folder("a1", "cats", "Lions", 1)
        assert await catalog.rename_folder("a1", "cats", "Lions") == Folder("a1", "cats", "Lions", 1)
        assert await refusal(catalog.rename_folder("a1", "cats", "Dogs")) == "name_taken"
        assert await refusal(catalog.rename_folder("a1", "cows", "Cows")) == "not_found"
        assert await refusal(catalog.rename_folder("a2", "cats", "Mine")) == "not_found"
        assert [(folder.slug, folder.name) for folder, _ in await catalog.folders("a1")] == [
            ("cats", "Lions"),
            ("dogs", "Dogs"),
        ]

    on_catalog(work)


def test_a_folder_goes_when_it_is_empty_and_its_images_stay(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await fill(catalog)
        assert await refusal(catalog.remove_folder("a2", "cats", 4)) == "not_found"
        while not await catalog.remove_folder("a1", "cats", 4):
            assert len(await catalog.folders("a1")) == 1
        assert await catalog.folders("a1") == []
        assert await refusal(catalog.remove_folder("a1", "cats", 4)) == "not_found"
        assert (await catalog.list_images("a1", ListQuery(folder=""))).total == 12
        assert (await catalog.list_images("a1", ListQuery(folder="cats"))).total == 0
        unlimited = replace(CHARGE, uploads_limit=0)
        assert await refusal(catalog.commit_upload(image(20, folder="cats"), unlimited)) == "bad_field"
        await catalog.add_folder(Folder("a1", "cats", "Cats", 1), 9)
        assert [count for _, count in await catalog.folders("a1")] == [0]
        (counts, _) = await catalog.counts("2026-11", "", 9)
        assert not counts.drifted

    on_catalog(work)


def test_what_was_removed_is_kept_until_the_image_is_buried(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        record = replace(IMAGE, expiration="burn", view_limit=None, removed_bytes=900, removed_kinds="gps exif")
        await catalog.commit_upload(record, CHARGE)
        assert await catalog.image(record.slug) == record
        await catalog.claim_view(record.slug, record.blob, viewer(1), None, 1000)
        await catalog.bury_image(record.slug, record.blob, 1000)
        stone = await catalog.image(record.slug)
        assert stone
        assert (stone.removed_bytes, stone.removed_kinds) == (None, None)
        assert (await catalog.list_images("a1", ListQuery(name="image.jpg", show="gone"))).images == [stone]
        assert (await catalog.list_images("a1", ListQuery(name="ü"))).total == 0

    on_catalog(work)


def test_the_blocklist_is_kept_and_asked(on_catalog: Callable[[Work], Any]) -> None:
    one, two = (Block(name, name.encode() * 32, size, "x.jpg", at) for name, size, at in (("a", 5, 2), ("b", None, 1)))

    async def fill(catalog: Catalog) -> None:
        assert not await catalog.has_blocks()
        for block in (one, two, replace(one, origin="again", created_at=9)):
            await catalog.add_block(block)

    async def look(catalog: Catalog) -> None:
        assert await catalog.blocks() == [two, one]
        assert await catalog.has_blocks()
        assert await catalog.is_blocked(one.sha256)
        assert not await catalog.is_blocked(b"c" * 32)
        await catalog.remove_block("a")
        assert not await catalog.is_blocked(one.sha256)
        assert await refusal(catalog.remove_block("a")) == "not_found"
        await catalog.remove_block("b")
        assert not await catalog.has_blocks()

    on_catalog(fill)
    on_catalog(look)


def near(likeness: bytes, *bits: int) -> bytes:
    """A perceptual hash that differs in these bits."""
    return (int.from_bytes(likeness, "big") ^ sum(1 << bit for bit in bits)).to_bytes(8, "big")


def test_what_looks_like_a_block_is_found_by_distance(on_catalog: Callable[[Work], Any]) -> None:
    chance = random.Random(1)
    likeness, *others = (chance.randbytes(8) for _ in range(50))
    block = Block("a", b"a" * 32, 5, "cat.jpg", 10, likeness)

    async def work(catalog: Catalog) -> None:
        assert not await catalog.has_likenesses()
        await catalog.add_block(replace(block, likeness=None))
        assert not await catalog.has_likenesses()
        assert not await catalog.is_like_blocked(likeness, 7)
        await catalog.add_block(block)
        assert await catalog.blocks() == [block], "an entry gets the hash that it has not had"
        await catalog.add_block(replace(block, likeness=others[0]))
        assert await catalog.blocks() == [block], "and keeps it"
        for number, other in enumerate(others):
            await catalog.add_block(Block(f"o{number}", bytes([number]) * 32, None, "", 11, other))
        assert await catalog.has_likenesses()
        for count in range(8):
            like = near(likeness, *chance.sample(range(64), count))
            assert [await catalog.is_like_blocked(like, most) for most in (count - 1, count, 7)] == [False, True, True]
        await catalog.remove_block("a")
        assert not await catalog.is_like_blocked(likeness, 7)

    on_catalog(work)


def test_among_100000_hashes_one_is_found_in_a_fraction_of_a_millisecond(tmp_path: Path) -> None:
    """SQLite's reads are on the event loop. The bound is far off, for machines that do other things, too."""
    chance = random.Random(2)
    hashes = [chance.randbytes(8) for _ in range(100_000)]
    rows = [
        {"id": f"{number:x}", "sha256": number.to_bytes(32, "big"), "size": None, "origin": "", "created_at": 1}
        | {"likeness": likeness}
        for number, likeness in enumerate(hashes)
    ]

    async def work() -> list[float]:
        catalog = SqliteCatalog(tmp_path / "catalog.db")
        await catalog.add_rows("blocks", rows)
        seconds = []
        for likeness in hashes[:200]:
            began = time.thread_time()
            assert await catalog.is_like_blocked(near(likeness, 3, 40, 41, 63), 4)
            assert not await catalog.is_like_blocked(chance.randbytes(8), 4)
            seconds.append((time.thread_time() - began) / 2)
        await catalog.close()
        return seconds

    seconds = sorted(asyncio.run(work()))
    print(f"\nmedian {seconds[100] * 1000:.2f} ms, slowest {seconds[-1] * 1000:.2f} ms")
    assert seconds[100] < 0.01
    with contextlib.closing(sqlite3.connect(tmp_path / "catalog.db")) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {SELECT_LIKE}", [b""] * SELECT_LIKE.count("?")).fetchall()
    steps = [row[-1] for row in plan if " blocks " in row[-1]]
    assert len(steps) == 4
    assert all(
        re.fullmatch(r"SEARCH blocks USING COVERING INDEX blocks_by_likeness_\d \(<expr>=\?\)", step) for step in steps
    )


def test_folders_are_unique_bounded_and_counted(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        cats, dogs = Folder("a1", "cats", "Cats", 1), Folder("a1", "dogs", "Dogs", 2)
        await catalog.add_folder(cats, 2)
        assert await refusal(catalog.add_folder(replace(cats, slug="cats-2"), 2)) == "name_taken"
        assert await refusal(catalog.add_folder(replace(cats, name="CATS!"), 2)) == "name_taken"
        await catalog.add_folder(dogs, 2)
        assert await refusal(catalog.add_folder(Folder("a1", "cows", "Cows", 3), 2)) == "folder_limit"
        await catalog.commit_upload(image(1, folder="cats"), CHARGE)
        await catalog.commit_upload(image(2), CHARGE)
        assert await catalog.folders("a1") == [(cats, 1), (dogs, 0)]
        assert await catalog.folders("a2") == []
        assert await refusal(catalog.commit_upload(image(3, folder="nowhere"), CHARGE)) == "bad_field"

    on_catalog(work)


def test_a_removed_account_leaves_nothing(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.add_folder(Folder("a1", "cats", "Cats", 1), 9)
        await catalog.commit_upload(IMAGE, CHARGE)
        await catalog.delete_image(IMAGE.slug, IMAGE.blob, 300)
        await catalog.remove_account(ACCOUNT.email)
        assert await catalog.accounts() == []
        assert await catalog.ledger("a1", "2026-11") == 0
        assert await refusal(catalog.remove_account(ACCOUNT.email)) == "not_found"
        await catalog.add_account(ACCOUNT)
        assert await catalog.folders("a1") == []

    on_catalog(work)


def test_the_secret_is_made_once_and_kept(on_catalog: Callable[[Work], Any]) -> None:
    first = on_catalog(lambda catalog: catalog.secret())
    assert len(first) == 32
    assert on_catalog(lambda catalog: catalog.secret()) == first


def test_an_idempotency_key_is_held_by_one_until_it_stands_for_an_upload(on_catalog: Callable[[Work], Any]) -> None:
    async def claim(catalog: Catalog, now: int) -> Any:
        return await catalog.claim_key("a1", CLAIM, now, now + 100)

    async def first(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        assert await claim(catalog, 1000) is None
        assert await refusal(catalog.claim_key("a1", OTHER_CLAIM, 1099, 1199)) == "in_progress"
        assert await catalog.claim_key("a2", CLAIM, 1099, 1199) is None
        assert await claim(catalog, 1100) is None, "a lease that has lapsed"
        await catalog.renew_key("a1", CLAIM, 1300)
        assert await refusal(catalog.claim_key("a1", OTHER_CLAIM, 1299, 1399)) == "in_progress"
        await catalog.free_key("a1", CLAIM)
        assert await claim(catalog, 1301) is None
        await catalog.commit_upload(IMAGE, CHARGE, CLAIM)

    async def then(catalog: Catalog) -> None:
        await catalog.free_key("a1", CLAIM)
        await catalog.void_claims()
        assert await catalog.purge_keys(1400, 9) == 0
        kept = await claim(catalog, 1400)
        assert kept.fingerprint == b"fingerprint"
        assert (kept.stored.image, kept.stored.quota.used, kept.stored.replayed) == (IMAGE, 1, True)
        assert await claim(catalog, 1301 + 86400) is None, "a day later it is forgotten"
        await catalog.void_claims()
        assert await claim(catalog, 1302 + 86400) is None, "nobody holds it after a restart"
        assert await catalog.purge_keys(1302 + 2 * 86400, 9) == 1

    on_catalog(first)
    on_catalog(then)


def test_to_look_at_a_key_stands_in_nobodys_way(on_catalog: Callable[[Work], Any]) -> None:
    """So a ticket is asked whether it has been used."""

    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        for _ in range(2):
            assert await catalog.used_key("a1", CLAIM.key, 1000) is None
        assert await catalog.claim_key("a1", CLAIM, 1000, 1100) is None
        assert await refusal(catalog.used_key("a1", CLAIM.key, 1000)) == "in_progress"
        assert await catalog.used_key("a1", CLAIM.key, 1100) is None, "the lease has lapsed"
        assert await catalog.used_key("a2", CLAIM.key, 1000) is None, "another account's"
        await catalog.commit_upload(IMAGE, CHARGE, CLAIM)
        for now in (1001, 1001, 86399 + 1000):
            kept = await catalog.used_key("a1", CLAIM.key, now)
            assert kept
            assert kept.stored.image == IMAGE
        assert await catalog.used_key("a1", CLAIM.key, 1000 + 86400) is None, "a day later it is forgotten"

    on_catalog(work)


def test_a_refused_commit_leaves_its_key_claimed(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.claim_key("a1", CLAIM, 1000, 1100)
        over = replace(CHARGE, storage_limit=1)
        assert await refusal(catalog.commit_upload(IMAGE, over, CLAIM)) == "storage_quota_exceeded"
        assert await refusal(catalog.claim_key("a1", OTHER_CLAIM, 1001, 1100)) == "in_progress"

    on_catalog(work)


async def bare(catalog: Catalog) -> None:
    """Nothing is stored, and nothing is charged."""
    (counts,) = await catalog.counts("2026-11", "", 9)
    assert (counts.used, counts.true_used, counts.stored_bytes, counts.drifted) == (0, 0, 0, False)
    assert await catalog.images_page("", 9) == []
    assert await catalog.ledger("a1", "2026-11") == 0


def test_a_claim_whose_lease_has_lapsed_stores_nothing_once_another_has_come(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        assert await catalog.claim_key("a1", CLAIM, 1000, 1100) is None
        assert await catalog.claim_key("a1", OTHER_CLAIM, 1100, 1200) is None
        assert await refusal(catalog.commit_upload(image(1), CHARGE, CLAIM)) == "in_progress"
        await bare(catalog)
        await catalog.renew_key("a1", CLAIM, 5000)
        await catalog.free_key("a1", CLAIM)
        assert await refusal(catalog.claim_key("a1", THIRD_CLAIM, 1199, 1300)) == "in_progress", "it is the other's"
        assert await catalog.claim_key("a1", THIRD_CLAIM, 1200, 1300) is None, "and has not been renewed by the first"
        await catalog.commit_upload(image(3), CHARGE, THIRD_CLAIM)
        for late in (CLAIM, OTHER_CLAIM, THIRD_CLAIM):
            assert await refusal(catalog.commit_upload(image(4), CHARGE, late)) == "in_progress"
        kept = await catalog.claim_key("a1", CLAIM, 1301, 1400)
        assert kept
        assert kept.stored
        assert kept.stored.image == image(3)
        assert await catalog.images_page("", 9) == [image(3)]
        assert await catalog.ledger("a1", "2026-11") == 1

    on_catalog(work)


def test_a_claim_whose_lease_has_lapsed_is_good_for_as_long_as_nobody_else_has_come(
    on_catalog: Callable[[Work], Any],
) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.claim_key("a1", CLAIM, 1000, 1001)
        assert (await catalog.commit_upload(IMAGE, CHARGE, CLAIM)).used == 1

    on_catalog(work)


def test_a_claim_that_was_never_made_or_given_up_stores_nothing(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        assert await refusal(catalog.commit_upload(IMAGE, CHARGE, CLAIM)) == "in_progress"
        await catalog.claim_key("a1", CLAIM, 1000, 1100)
        await catalog.free_key("a1", CLAIM)
        assert await refusal(catalog.commit_upload(IMAGE, CHARGE, CLAIM)) == "in_progress"
        await bare(catalog)

    on_catalog(work)


@pytest.mark.parametrize("ending", ["deleted", "buried", "buried, then deleted"])
def test_of_an_answer_whose_image_is_gone_nothing_is_left_but_that_its_key_was_used(
    on_catalog: Callable[[Work], Any], ending: str
) -> None:
    picture = replace(BURN, filename="my secret.jpg", password_hash="$argon2id$secret")

    async def work(catalog: Any) -> None:
        await catalog.add_account(ACCOUNT)
        for number, claim in enumerate((CLAIM, replace(OTHER_CLAIM, key="other"))):
            await catalog.claim_key("a1", claim, 1000, 1100)
            kept = picture if number == 0 else image(7)
            await catalog.commit_upload(kept, CHARGE, claim)
        if "buried" in ending:
            await catalog.claim_view(picture.slug, picture.blob, viewer(1), None, 1000)
            assert await catalog.bury_image(picture.slug, picture.blob, 2000) is not None
        if "deleted" in ending:
            assert await catalog.delete_image(picture.slug, picture.blob, 9000) is not None
        if isinstance(catalog, SqliteCatalog | MongoCatalog):
            rows = [row async for batch in catalog.rows("idempotency_keys", None, 9) for row in batch]
            assert len(rows) == 2
            assert "secret" not in repr(rows)
        kept = await catalog.claim_key("a1", CLAIM, 2000, 2100)
        assert kept == IdempotentResult(b"", None)
        await catalog.void_claims()
        assert await catalog.claim_key("a1", CLAIM, 2000, 2100) == kept, "it stands its day"
        others = await catalog.claim_key("a1", replace(OTHER_CLAIM, key="other"), 2000, 2100)
        assert others.stored.image == image(7)
        assert await catalog.claim_key("a1", CLAIM, 1000 + 86400, 99000) is None

    on_catalog(work)


def test_months_only_move_forward_and_what_is_late_counts_in_the_one_that_has_begun(
    on_catalog: Callable[[Work], Any],
) -> None:
    """Uploads in flight at midnight, or of servers whose clocks differ: no month begins twice."""

    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        stored: list[str] = []
        for number in range(60):
            month = ("2026-11", "2026-12")[number % 2]
            if await outcome(catalog.commit_upload(image(number), replace(CHARGE, month=month))) == "stored":
                stored.append(month)
        assert len(stored) == 11, "one before December began, and ten in December"
        assert await catalog.ledger("a1", "2026-11") == 1
        assert await catalog.ledger("a1", "2026-12") == 10
        for asked in ("2026-11", "2026-12"):
            (counts,) = await catalog.counts(asked, "", 9)
            assert (counts.used, counts.true_used, counts.drifted) == (10, 10, False)
        (account,) = await catalog.accounts()
        assert (account.month, account.used, account.used_in("2026-11")) == ("2026-12", 10, 10)
        assert account.used_in("2027-01") == 0
        january = await catalog.commit_upload(image(99), replace(CHARGE, month="2027-01"))
        assert (january.month, january.used) == ("2027-01", 1)
        late = await catalog.commit_upload(image(98), CHARGE)
        assert (late.month, late.used) == ("2027-01", 2)
        assert await catalog.ledger("a1", "2027-01") == 2

    on_catalog(work)


def test_a_late_commit_that_finds_the_month_full_is_told_when_that_one_ends(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        one = replace(CHARGE, uploads_limit=1, at=1_796_083_199)  # the last second of November
        await catalog.commit_upload(image(1), replace(one, month="2026-12"))
        with pytest.raises(Fault) as caught:
            await catalog.commit_upload(image(2), one)
        assert (caught.value.code, caught.value.retry_after) == ("quota_exceeded", 31 * 86400)

    on_catalog(work)


def test_all_records_are_read_page_by_page(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        for number in (3, 1, 2):
            await catalog.commit_upload(image(number), CHARGE)
        assert await catalog.images_page("", 2) == [image(1), image(2)]
        assert await catalog.images_page("slug0002", 2) == [image(3)]
        assert await catalog.images_page("slug0003", 2) == []

    on_catalog(work)


def test_it_knows_which_blobs_have_a_record(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        for number in (1, 2):
            await catalog.commit_upload(image(number), CHARGE)
        keys = [image(number).blob for number in range(600)]
        assert await catalog.blobs_known([*keys, "x.tmp"]) == {image(1).blob, image(2).blob}
        assert await catalog.blobs_known([]) == set()

    on_catalog(work)


def test_it_tells_whose_time_is_over_the_oldest_first(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        for number, expires_at in ((1, 500), (2, None), (3, 400), (4, 501)):
            await catalog.commit_upload(image(number, expires_at=expires_at), CHARGE)
        assert [found.slug for found in await catalog.expired(500, 9)] == ["slug0003", "slug0001"]
        assert [found.slug for found in await catalog.expired(500, 1)] == ["slug0003"]
        assert await catalog.expired(399, 9) == []

    on_catalog(work)


def test_counts_are_told_as_kept_and_as_they_should_be_and_mended(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        other = replace(ACCOUNT, id="a2", email="two@example.org", key_hash=b"i" * 32)
        for account in (ACCOUNT, other):
            await catalog.add_account(account)
        for number in (1, 2):
            await catalog.commit_upload(image(number), CHARGE)
        first = AccountCounts("a1", ACCOUNT.email, 2000, 2000, 2, 2)
        second = AccountCounts("a2", other.email, 0, 0, 0, 0)
        assert not first.drifted
        assert await catalog.counts("2026-11", "", 9) == [first, second]
        assert await catalog.counts("2026-11", "a1", 9) == [second]
        assert await catalog.counts("2026-11", "", 1) == [first]
        assert await catalog.purge_ledger("2026-12", 9) == 2  # now the kept count is too high
        drifted = replace(first, true_used=0)
        assert drifted.drifted
        assert await catalog.counts("2026-11", "", 1) == [drifted]
        await catalog.repair_counts("a1", "2026-11")
        assert await catalog.counts("2026-11", "", 1) == [replace(drifted, used=0)]

    on_catalog(work)


def test_counts_of_another_month(on_catalog: Callable[[Work], Any]) -> None:
    """A month that is over counts no more; one that has begun for others by now is not taken back."""

    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        await catalog.commit_upload(image(1), CHARGE)
        for month, used in (("2026-12", 0), ("2026-11", 1), ("2026-10", 1)):
            assert await catalog.counts(month, "", 9) == [AccountCounts("a1", ACCOUNT.email, 1000, 1000, used, used)]
        await catalog.repair_counts("a1", "2026-10")
        assert (await catalog.accounts())[0].used_in("2026-11") == 1
        await catalog.repair_counts("a1", "2026-12")
        assert (await catalog.accounts())[0].used_in("2026-12") == 0

    on_catalog(work)


def test_old_ledger_rows_and_kept_slugs_are_forgotten_in_batches(on_catalog: Callable[[Work], Any]) -> None:
    async def work(catalog: Catalog) -> None:
        await catalog.add_account(ACCOUNT)
        for number, month in ((1, "2026-10"), (2, "2026-10"), (3, "2026-11")):
            await catalog.commit_upload(image(number), replace(CHARGE, month=month))
            await catalog.delete_image(image(number).slug, image(number).blob, 300 + number)
        assert [await catalog.purge_ledger("2026-11", 1) for _ in range(3)] == [1, 1, 0]
        assert await catalog.ledger("a1", "2026-11") == 1
        assert [await catalog.purge_kept_slugs(302, 1) for _ in range(3)] == [1, 1, 0]
        again = replace(image(3), blob="c" * 32)
        assert await refusal(catalog.commit_upload(again, CHARGE)) == "slug_taken"

    on_catalog(work)


def test_two_catalogs_over_the_same_store_see_each_others_commits(opening: Opening) -> None:
    """As when an operator's command changes an account while the server runs. A commit judges at once; a key that was
    known may be so for half a second more."""

    async def work() -> None:
        one, two = await opening(), await opening()
        await one.add_account(ACCOUNT)
        assert await one.account_by_key(ACCOUNT.key_hash) == ACCOUNT
        changed = await two.set_key(ACCOUNT.email, b"n" * 32, "wxyz")
        since = time.monotonic()
        assert await refusal(one.commit_upload(IMAGE, CHARGE)) == "invalid_key"
        while await one.account_by_key(ACCOUNT.key_hash):
            assert time.monotonic() - since < 0.9
            await asyncio.sleep(0.01)
        assert await two.account_by_key(ACCOUNT.key_hash) is None
        assert await one.account_by_key(b"n" * 32) == changed
        await one.close()
        await two.close()

    asyncio.run(work())


def test_two_catalogs_over_the_same_store_give_a_view_away_once(tmp_path: Path) -> None:
    async def work() -> None:
        catalogs = [SqliteCatalog(tmp_path / "catalog.db") for _ in range(2)]
        await catalogs[0].add_account(ACCOUNT)
        await catalogs[0].commit_upload(BURN, CHARGE)
        claims = (catalogs[n % 2].claim_view(BURN.slug, BURN.blob, viewer(n), None, 1000) for n in range(50))
        assert len([claimed for claimed in await asyncio.gather(*claims) if claimed]) == 1
        for catalog in catalogs:
            await catalog.close()

    asyncio.run(work())


def test_a_store_of_a_newer_program_is_not_touched(tmp_path: Path) -> None:
    async def work() -> None:
        catalog = SqliteCatalog(tmp_path / "catalog.db")
        await catalog._writer.commit(lambda connection: connection.execute("PRAGMA user_version = 999"))
        await catalog.close()
        with pytest.raises(Fault, match="not available"):
            SqliteCatalog(tmp_path / "catalog.db")

    asyncio.run(work())
