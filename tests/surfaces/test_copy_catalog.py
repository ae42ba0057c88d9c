"""`iuserver copy-catalog`: all there and back, in parts, and refused where it would mix two catalogs."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iuserver.backends import open_catalog_at
from iuserver.catalog import schema
from iuserver.catalog.sqlite import SqliteCatalog
from iuserver.ports import Copyable
from iuserver.records import ROW_KEYS, Account, Block, Charge, Claim, Folder, Grant, Image, ListQuery, Row
from iuserver.settings import Settings
from tests import pictures
from tests.running import running
from tests.surfaces.test_cli import command

ACCOUNTS = [
    Account(f"a{number}", f"{number}é@example.org", "pro", bytes([number]) * 32, "abcd", 100 + number)
    for number in range(1, 4)
]
CHARGES = [Charge(account.id, account.key_hash, 1000, "2026-11", 0, 0) for account in ACCOUNTS]
FACTS: tuple[Any, ...] = ("p.jpg", "jpg", "image/jpeg")


def picture(number: int) -> Image:
    """Each has something that others have not."""
    owner = ACCOUNTS[number % 3].id
    more = {"expires_at": 5000 + number} if number % 2 else {"password_hash": "$argon2id$", "folder": "cats"}
    image = Image(
        f"s{number:07}", f"{number:032x}", owner, *FACTS, number, 3, 2, "1d", None, None, None, None, "api", 9
    )
    return replace(image, **more)


async def fill(catalog: Copyable, count: int) -> None:
    """Accounts, folders, images, kept slugs, keys that stand for something, one that is claimed, images that some have
    seen, and a blocklist."""
    await catalog.secret()
    for account in ACCOUNTS:
        await catalog.add_account(account)
        for slug in ("dogs", "cats"):
            await catalog.add_folder(Folder(account.id, slug, slug.upper(), 7), 9)
    for start in range(0, count, 64):
        await asyncio.gather(*(_upload(catalog, number) for number in range(start, min(start + 64, count))))
    for number in range(0, count, 10):
        await catalog.delete_image(picture(number).slug, picture(number).blob, 9999)
    for number in range(SEEN):
        await _look_at(catalog, seen(number))
    await catalog.bury_image(seen(2).slug, seen(2).blob, 1063)
    for number, size in ((1, 5), (2, None)):
        await catalog.add_block(Block(f"b{number}", bytes([number]) * 32, size, "x.jpg", number))
    await catalog.set_disabled(ACCOUNTS[2].email, True)
    await catalog.claim_key("a1", Claim("claimed", "t"), 1000, 2000)


SEEN = 6
"""So many images have been seen, by two, three, and four, who are all that may; one of the latter is a tombstone."""


def seen(number: int) -> Image:
    image = replace(picture(number), slug=f"seen{number}", blob=f"5ee4{number:028x}")
    return replace(image, expiration="views", view_limit=4)


async def _look_at(catalog: Copyable, image: Image) -> None:
    number = int(image.slug[4:])
    await catalog.commit_upload(image, CHARGES[number % 3])
    for viewer in range(2 + number % 3):
        grant = Grant(bytes([viewer]) * 32, 1060 + viewer) if viewer else None
        await catalog.claim_view(image.slug, image.blob, bytes([viewer]) * 16, grant, 1000)


async def _upload(catalog: Copyable, number: int) -> None:
    claim = Claim(f"key {number}", "t", b"f")
    if number % 7 == 0:
        await catalog.claim_key(ACCOUNTS[number % 3].id, claim, 1000, 1100)
    await catalog.commit_upload(picture(number), CHARGES[number % 3], claim if number % 7 == 0 else None)


async def rows(catalog: Copyable) -> dict[str, list[Row]]:
    return {kind: [row async for batch in catalog.rows(kind, None, 7) for row in batch] for kind in ROW_KEYS}


def on_catalog(url: str, work: Callable[[Copyable], Awaitable[Any]]) -> Any:
    async def opened() -> Any:
        catalog = await open_catalog_at(url, Settings())
        try:
            return await work(catalog)
        finally:
            await catalog.close()

    return asyncio.run(opened())


def copied(source: str, target: str) -> dict[str, int]:
    done = command("copy-catalog", source, target)
    assert (done.returncode, done.stderr) == (0, "")
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def test_all_that_is_there_is_copied_there_and_back(tmp_path: Path, mongo_database: str) -> None:
    first, back = f"sqlite:{tmp_path}/first.db", f"sqlite:{tmp_path}/back.db"
    on_catalog(first, lambda catalog: fill(catalog, 700))
    counts = copied(first, mongo_database)
    assert counts == {
        "secrets": 1,
        "accounts": 3,
        "images": 636,
        "ledger": 706,
        "kept_slugs": 70,
        "idempotency_keys": 100,
        "blocks": 2,
    }
    assert copied(mongo_database, back) == counts
    everything = on_catalog(first, rows)
    assert on_catalog(mongo_database, rows) == everything
    assert on_catalog(back, rows) == everything
    assert {kind: len(found) for kind, found in everything.items()} == counts
    assert everything["accounts"][0]["folders"] == [
        {"slug": "cats", "name": "CATS", "created_at": 7},
        {"slug": "dogs", "name": "DOGS", "created_at": 7},
    ]
    own = [row for row in everything["images"] if row["account_id"] == "a1"]
    assert everything["accounts"][0]["shelves"] == Counter(row["folder"] or "" for row in own)
    row = next(row for row in everything["images"] if row["slug"] == "seen0")
    assert (row["views"], row["viewed_at"]) == (2, 1000)
    assert row["viewers"] == [bytes([0]) * 16, bytes([1]) * 16]
    assert row["grants"] == [{"hash": bytes([1]) * 32, "lapses_at": 1061}]
    assert copied(first, mongo_database) == counts, "again: nothing is left to do"


def test_a_copy_behaves_as_its_original(tmp_path: Path, mongo_database: str) -> None:
    """Counts go on, slugs stay kept, keys stand for their uploads, folders are there; who has seen what is known."""

    async def look(catalog: Copyable) -> None:
        assert await catalog.counts("2026-11", "", 9) == counts
        assert not any(found.drifted for found in counts)
        kept = await catalog.claim_key("a1", Claim("key 21", "t"), 1001, 1100)
        assert kept
        assert kept.stored.image == picture(21)
        assert await catalog.claim_key("a1", Claim("claimed", "t"), 1001, 1100) is None, (
            "what is claimed there is not claimed here"
        )
        assert [folder.slug for folder, _ in await catalog.folders("a1")] == ["cats", "dogs"]
        account = await catalog.commit_upload(replace(picture(90), slug="new"), CHARGES[0])
        assert account.used == counts[0].used + 1
        assert await catalog.list_images("a2", ListQuery("cats")) == lists
        assert await catalog.image("seen2") == stone
        assert stone.buried_at == 1063
        assert await catalog.has_grant("seen5", bytes([3]) * 32, 1062)
        assert [image.slug for image in await catalog.to_bury(1063, 9)] == ["seen5"]
        known = await catalog.claim_view("seen0", seen(0).blob, bytes(16), None, 1001)
        assert known
        assert known.views == 2
        assert await catalog.is_blocked(bytes([2]) * 32)

    source = f"sqlite:{tmp_path}/first.db"
    on_catalog(source, lambda catalog: fill(catalog, 30))
    counts = on_catalog(source, lambda catalog: catalog.counts("2026-11", "", 9))
    lists = on_catalog(source, lambda catalog: catalog.list_images("a2", ListQuery("cats")))
    stone = on_catalog(source, lambda catalog: catalog.image("seen2"))
    copied(source, mongo_database)
    on_catalog(mongo_database, look)


@pytest.mark.parametrize("back", [False, True], ids=["to MongoDB", "from MongoDB"])
def test_a_copy_that_was_interrupted_goes_on(tmp_path: Path, mongo_database: str, back: bool) -> None:
    source, target = f"sqlite:{tmp_path}/catalog.db", mongo_database
    if back:
        source, target = target, source

    async def a_part(catalog: Copyable) -> None:
        for kind in ("secrets", "accounts"):
            await catalog.add_rows(kind, everything[kind])
        await catalog.add_rows("images", everything["images"][:50])
        await catalog.add_rows("images", everything["images"][40:60])  # a batch whose answer was lost comes again

    on_catalog(source, lambda catalog: fill(catalog, 100))
    everything = on_catalog(source, rows)
    on_catalog(target, a_part)
    assert copied(source, target)["images"] == 96
    assert on_catalog(target, rows) == everything


def test_what_would_mix_two_catalogs_or_differs_is_refused(tmp_path: Path) -> None:
    one, two = f"sqlite:{tmp_path}/one.db", f"sqlite:{tmp_path}/two.db"
    on_catalog(one, lambda catalog: fill(catalog, 20))
    on_catalog(two, lambda catalog: fill(catalog, 20))
    refused = command("copy-catalog", one, two)
    assert refused.returncode == 1
    assert "another catalog" in refused.stderr
    three = f"sqlite:{tmp_path}/three.db"
    copied(one, three)
    on_catalog(three, lambda catalog: catalog.set_plan(ACCOUNTS[0].email, "free"))
    differs = command("copy-catalog", one, three)
    assert differs.returncode == 1
    assert differs.stderr == "iuserver: the accounts differ: 3 in FROM, 3 in TO; copy again to an empty TO\n"


def test_what_is_no_catalog_is_told_in_one_line(tmp_path: Path) -> None:
    there = f"sqlite:{tmp_path}/there.db"
    on_catalog(there, lambda catalog: catalog.secret())
    for source, target in (
        (f"sqlite:{tmp_path}/nowhere.db", there),
        (there, "postgres://me:s3cret@x"),
        (there, "mongodb://me:s3cret@127.0.0.1:1/x"),
    ):
        done = command("copy-catalog", source, target)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "s3cret" not in done.stderr
    assert not (tmp_path / "nowhere.db").exists()


def test_it_is_copied_while_a_server_shows_it(tmp_path: Path, mongo_database: str) -> None:
    """And a server on the copy goes on where that one was."""
    with running(tmp_path, imaging={"workers": 1}) as server:
        key = server.new_key("pro")
        uploaded = server.upload(key, pictures.jpeg()).json()
    path = f"/f/{uploaded['slug']}.{uploaded['ext']}"
    with running(tmp_path, server={"read_only": True}, imaging={"workers": 1}) as server:
        done = command("copy-catalog", "sqlite:", mongo_database, "--data", str(tmp_path))
        assert (done.returncode, json.loads(done.stdout)["images"]) == (0, 1)
        assert server.get(path).status_code == 200
    with running(tmp_path, catalog={"url": mongo_database}, imaging={"workers": 1}) as server:
        assert server.get(path).status_code == 200
        assert server.upload(key, pictures.jpeg()).json()["quota"]["used"] == 2
        link = uploaded["delete_url"].rpartition("/d/")[2]
        assert server.get(f"/d/{link}").status_code == 200, "signed with the same secret"


def test_ledger_rows_of_an_older_version_get_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        path = tmp_path / "catalog.db"
        connection = sqlite3.connect(path, isolation_level=None)
        with monkeypatch.context() as older:
            older.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:4])
            schema.migrate(connection)
        connection.executemany("INSERT INTO ledger VALUES (?, 'a1', '2026-11')", [("one",), ("same",), ("same",)])
        connection.close()
        catalog = SqliteCatalog(path)
        assert await catalog.ledger("a1", "2026-11") == 3
        (found,) = [batch async for batch in catalog.rows("ledger", None, 9)]
        assert sorted(row["slug"] for row in found) == ["one", "same", "same"]
        assert len({row["blob"] for row in found}) == 3
        await catalog.close()

    asyncio.run(work())
