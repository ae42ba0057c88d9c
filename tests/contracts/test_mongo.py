"""What only the Mongo catalog has to fear: a process that dies between two steps, a server that goes away."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pymongo.monitoring
import pytest

from iuserver.catalog import mongo, mongo_base, mongo_lists
from iuserver.catalog.mongo import MongoCatalog
from iuserver.catalog.mongo_documents import INDEXES, Store, answer, image_document
from iuserver.errors import Fault
from iuserver.records import (
    Block,
    Claim,
    Folder,
    Grant,
    IdempotentResult,
    Image,
    ImagePage,
    ListQuery,
    Position,
    Session,
)
from tests.conftest import LogGuard
from tests.contracts.test_catalog import (
    ACCOUNT,
    BURN,
    CHARGE,
    CLAIM,
    IMAGE,
    OTHER_CLAIM,
    image,
    outcome,
    refusal,
    viewer,
)
from tests.mongo_server import MongoServer, mongo_server

FAR = 4_000_000_000  # a time by which all that is half done is old
WRITES = {
    "insert_one",
    "update_one",
    "update_many",
    "replace_one",
    "delete_one",
    "find_one_and_update",
    "find_one_and_replace",
}
FOREVER = replace(CHARGE, uploads_limit=0)


def hours_ago() -> float:
    return time.time() - 7200


class Died(BaseException):
    """The process is no more."""


class Dying:
    """A collection, and a process that ends instead of its n-th write; `writes_left` is shared by all collections."""

    def __init__(self, collection: Any, writes_left: list[int]) -> None:
        self._collection = collection
        self._writes_left = writes_left

    def __getattr__(self, name: str) -> Any:
        if name in WRITES:
            self._writes_left[0] -= 1
            if self._writes_left[0] < 0:
                raise Died
        return getattr(self._collection, name)


def die_after(catalog: MongoCatalog, writes: int) -> None:
    """Let a catalog's process end after so many writes of its commits and deletions."""
    left = [writes]
    store = catalog._store
    dying = {
        field.name: Dying(getattr(store, field.name), left)
        for field in dataclasses.fields(Store)
        if field.name != "client"
    }
    catalog._atomic._store = catalog._editing._store = replace(store, **dying)


async def in_step(catalog: MongoCatalog) -> tuple[int, int]:
    """Uploads and stored bytes of the one account, which are also what ledger and records say, as are its lists."""
    assert await catalog.unsettled(FAR) == 0
    (counts,) = await catalog.counts("2026-11", "", 9)
    assert not counts.drifted
    images = await catalog.images_page("", 10_000)
    assert counts.stored_bytes == sum(image.size for image in images)
    assert (await catalog.list_images("a1", ListQuery(limit=1))).total == len(images)
    document = await catalog._store.accounts.find_one({})
    assert not any(document.get(name) for name in ("pending", "burying", "moving", "settled"))
    return counts.used, counts.stored_bytes


@pytest.fixture
def with_steps(mongo_database: str) -> Callable[[Callable[[MongoCatalog, MongoCatalog], Awaitable[Any]]], Any]:
    """Runs work on two catalogs without transactions: of a process that will die, two hours ago, and of another one."""

    def run(work: Callable[[MongoCatalog, MongoCatalog], Awaitable[Any]]) -> Any:
        async def opened() -> Any:
            one = await MongoCatalog.open(mongo_database, "node", clock=hours_ago, transactions=False)
            two = await MongoCatalog.open(mongo_database, "node", transactions=False)
            try:
                await one.add_account(ACCOUNT)
                return await work(one, two)
            finally:
                await one.close()
                await two.close()

        return asyncio.run(opened())

    return run


@pytest.mark.parametrize("writes", range(6))
def test_a_commit_that_dies_between_two_steps_is_settled(with_steps: Any, writes: int) -> None:
    """The claim is held, charge, ledger row, record, idempotency key, end: the record decides."""

    async def work(dying: MongoCatalog, other: MongoCatalog) -> None:
        await other.commit_upload(image(1), CHARGE)
        await dying.claim_key("a1", CLAIM, then := int(hours_ago()), then + 100)
        die_after(dying, writes)
        with pytest.raises(Died):
            await dying.commit_upload(image(2), CHARGE, claim=CLAIM)
        stored = await other.image("slug0002")
        assert (stored is not None) == (writes > 3)
        (counts,) = await other.counts("2026-11", "", 9)
        assert not counts.drifted, "what is under way is no difference"
        await other.repair_counts("a1", "2026-11")
        assert await other.settle(0, 9) == 0, "it is not old yet"
        assert await other.unsettled(FAR) == await other.settle(FAR, 9) == (1 if writes > 1 else 0)
        assert await other.settle(FAR, 9) == 0
        assert await in_step(other) == ((2, 2000) if stored else (1, 1000))
        kept = await other.claim_key("a1", OTHER_CLAIM, now := int(time.time()), now + 100)
        assert (kept.stored.image if kept else None) == stored

    with_steps(work)


def test_an_account_that_cannot_be_settled_holds_up_no_other(with_steps: Any) -> None:
    """Whatever is wrong with it: here what it says is under way names no image."""

    async def work(dying: MongoCatalog, other: MongoCatalog) -> None:
        second = replace(ACCOUNT, id="a2", email="two@example.org", key_hash=b"2" * 32)
        await other.add_account(second)
        die_after(dying, 2)
        charge = replace(CHARGE, account_id="a2", key_hash=second.key_hash)
        with pytest.raises(Died):
            await dying.commit_upload(replace(image(2), account_id="a2"), charge)
        damaged = {"pending": [{"at": 1}], "burying": [{"at": 1}]}
        await other._store.accounts.update_one({"_id": "a1"}, {"$set": damaged})
        assert await other.unsettled(FAR) == 3
        with pytest.raises(KeyError):
            await other.settle(FAR, 9)
        assert await other.unsettled(FAR) == 2, "the other account's is settled"

    with_steps(work)


@pytest.mark.parametrize("writes", [4, 5])
def test_a_repeat_finds_the_upload_whose_process_died_before_it_was_settled(with_steps: Any, writes: int) -> None:
    async def work(dying: MongoCatalog, other: MongoCatalog) -> None:
        await dying.claim_key("a1", CLAIM, 1000, 1100)
        die_after(dying, writes)
        with pytest.raises(Died):
            await dying.commit_upload(IMAGE, CHARGE, claim=CLAIM)
        await other.void_claims()  # as it does at the next start of the same node
        kept = await other.claim_key("a1", OTHER_CLAIM, 1010, 1110)
        assert kept
        assert (kept.fingerprint, kept.stored.image, kept.stored.quota.used) == (b"fingerprint", IMAGE, 1)
        await other.settle(FAR, 9)
        assert await in_step(other) == (1, 1000)

    with_steps(work)


async def used_up(catalog: MongoCatalog) -> None:
    """Two images, one of which has been seen by all who may."""
    await catalog.commit_upload(BURN, CHARGE)
    await catalog.commit_upload(image(2), CHARGE)
    assert await catalog.claim_view(BURN.slug, BURN.blob, viewer(1), None, 1000)


@pytest.mark.parametrize("writes", range(5))
def test_a_burial_that_dies_between_two_steps_is_settled(with_steps: Any, writes: int) -> None:
    """The entry, the tombstone, the answer forgotten, the bytes given back with the entry: the tombstone decides."""

    async def work(dying: MongoCatalog, other: MongoCatalog) -> None:
        await used_up(other)
        die_after(dying, writes)
        if writes < 4:
            with pytest.raises(Died):
                await dying.bury_image(BURN.slug, BURN.blob, 1000)
        else:
            assert await dying.bury_image(BURN.slug, BURN.blob, 1000)
        (counts,) = await other.counts("2026-11", "", 9)
        assert not counts.drifted, "what is under way is no difference"
        await other.repair_counts("a1", "2026-11")
        assert await other.settle(0, 9) == 0, "it is not old yet"
        assert await other.unsettled(FAR) == await other.settle(FAR, 9) == (1 if writes in (1, 2, 3) else 0)
        assert await in_step(other) == ((2, 1000) if writes > 1 else (2, 2000))
        assert bool(await other.bury_image(BURN.slug, BURN.blob, 1000)) == (writes < 2)
        assert await in_step(other) == (2, 1000)

    with_steps(work)


@pytest.mark.parametrize("writes", range(5))
def test_a_tombstone_may_be_deleted_whenever_its_burial_has_died(with_steps: Any, writes: int) -> None:
    async def work(dying: MongoCatalog, other: MongoCatalog) -> None:
        await used_up(other)
        die_after(dying, writes)
        await asyncio.gather(dying.bury_image(BURN.slug, BURN.blob, 1000), return_exceptions=True)
        assert await other.delete_image(BURN.slug, BURN.blob, 300)
        await other.settle(FAR, 9)
        assert await in_step(other) == (2, 1000)

    with_steps(work)


@pytest.mark.parametrize("writes", range(1, 8))
def test_a_deletion_that_dies_over_a_burial_that_has_died_is_settled(with_steps: Any, writes: int) -> None:
    async def work(dying: MongoCatalog, other: MongoCatalog) -> None:
        await used_up(other)
        for steps, deed in ((2, dying.bury_image), (writes, dying.delete_image)):
            die_after(dying, steps)
            await asyncio.gather(deed(BURN.slug, BURN.blob, 1000), return_exceptions=True)
        assert await other.image(BURN.slug) is None
        while await other.settle(FAR, 9):
            pass
        assert await in_step(other) == (2, 1000)

    with_steps(work)


def test_an_image_is_buried_and_deleted_at_once_and_its_bytes_are_given_back_once(with_steps: Any) -> None:
    async def work(one: MongoCatalog, other: MongoCatalog) -> None:
        for number in range(20):
            record = replace(image(number), expiration="burn")
            await one.commit_upload(record, FOREVER)
            await one.claim_view(record.slug, record.blob, viewer(1), None, 1000)
            which = record.slug, record.blob, 1000
            deeds = (one.bury_image, other.delete_image, other.bury_image, one.delete_image)
            turned = deeds[number % 4 :] + deeds[: number % 4]
            await asyncio.gather(*(deed(*which) for deed in turned))
        assert await in_step(one) == (20, 0)

    with_steps(work)


def test_numbers_of_images_by_folder_that_are_off_are_told_and_mended(with_steps: Any) -> None:
    async def work(one: MongoCatalog, other: MongoCatalog) -> None:
        await one.add_folder(Folder("a1", "2026", "2026", 1), 9)
        for number in range(3):
            await one.commit_upload(image(number, folder="2026"), CHARGE)
        await in_step(one)
        await one._store.accounts.update_one({}, {"$inc": {"shelves.2026": -1, "shelves.root": 2}})
        (counts,) = await other.counts("2026-11", "", 9)
        assert (counts.drifted, counts.misplaced, counts.used) == (True, 3, 3)
        await other.repair_counts("a1", "2026-11")
        assert await in_step(one) == (3, 3000)
        assert (await one.list_images("a1", ListQuery("2026"))).total == 3
        assert await one.list_images("a1", ListQuery("")) == ImagePage([], 0, more=False)

    with_steps(work)


@pytest.mark.parametrize("writes", range(3))
def test_a_move_that_dies_between_two_steps_is_mended(with_steps: Any, writes: int) -> None:
    """The entry, the records, the numbers: until the entry goes nobody compares them."""

    async def work(dying: MongoCatalog, other: MongoCatalog) -> None:
        await other.add_folder(Folder("a1", "2026", "2026", 1), 9)
        for number in range(3):
            await other.commit_upload(image(number), CHARGE)
        die_after(dying, writes)
        with pytest.raises(Died):
            await dying.move_images("a1", ["slug0000", "slug0001"], "2026", 0)
        (counts,) = await other.counts("2026-11", "", 9)
        assert not counts.drifted, "what is under way is no difference"
        await other.repair_counts("a1", "2026-11")
        assert await other.settle(0, 9) == 0, "it is not old yet"
        assert await other.unsettled(FAR) == await other.settle(FAR, 9) == min(writes, 1)
        (counts,) = await other.counts("2026-11", "", 9)
        assert counts.misplaced == (4 if writes == 2 else 0)
        await other.repair_counts("a1", "2026-11")
        assert await in_step(other) == (3, 3000)
        assert (await other.list_images("a1", ListQuery("2026"))).total == (2 if writes == 2 else 0)

    with_steps(work)


def test_a_folder_stays_while_an_upload_into_it_is_under_way(with_steps: Any) -> None:
    async def work(dying: MongoCatalog, other: MongoCatalog) -> None:
        await other.add_folder(Folder("a1", "2026", "2026", 1), 9)
        await other.commit_upload(image(1, folder="2026"), CHARGE)
        die_after(dying, 2)
        with pytest.raises(Died):
            await dying.commit_upload(image(2, folder="2026"), CHARGE)
        assert await other.remove_folder("a1", "2026", 1) is False
        assert await refusal(other.remove_folder("a1", "2026", 1)) == "in_progress"
        await other.settle(FAR, 9)
        assert await other.remove_folder("a1", "2026", 1)
        assert await in_step(other) == (1, 1000)

    with_steps(work)


def test_what_many_do_to_the_same_images_at_once_is_in_step(with_steps: Any) -> None:
    async def work(one: MongoCatalog, other: MongoCatalog) -> None:
        slugs = [image(number).slug for number in range(20)]
        for name in ("cats", "dogs"):
            await one.add_folder(Folder("a1", name, name, 1), 9)
        for number in range(20):
            await one.commit_upload(image(number, expires_at=None), FOREVER)
        await asyncio.gather(
            one.move_images("a1", slugs, "cats", 1),
            other.move_images("a1", slugs[5:], "dogs", 1),
            one.change_image(image(3, expires_at=None), image(3, expires_at=None, folder="dogs")),
            one.move_images("a1", slugs, None, 1),
        )
        assert await in_step(one) == (20, 20_000)
        deletions = (one.delete_images("a1", slugs[:10], 1, 300), other.delete_images("a1", slugs[8:12], 1, 300))
        deleted = [which for part in await asyncio.gather(*deletions) for which in part]
        assert sorted(deleted) == [(image(number).slug, image(number).blob) for number in range(12)]
        assert await in_step(one) == (20, 8000)

    with_steps(work)


class Commands(pymongo.monitoring.CommandListener):
    """What a driver asks the server for."""

    def __init__(self) -> None:
        self.finds: list[Any] = []

    def started(self, event: Any) -> None:
        if event.command_name == "find" and event.command["find"] == "images":
            self.finds.append(event.command)

    def succeeded(self, event: Any) -> None:
        pass

    def failed(self, event: Any) -> None:
        pass


def test_a_page_of_a_list_reads_the_part_of_an_index_that_it_shows(
    mongo_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is told which: from the place behind which the page begins, of this account and folder alone."""
    commands = Commands()
    client = partial(mongo.AsyncIOMotorClient, event_listeners=[commands])
    monkeypatch.setattr(mongo, "AsyncIOMotorClient", client)

    async def work() -> None:
        catalog = await MongoCatalog.open(mongo_database)
        await catalog.add_account(ACCOUNT)
        keys = {"newest": 200, "oldest": 200, "name": "ü.jpg", "largest": 1000}
        for sort, key in keys.items():
            for folder in (None, "", "cats") if sort in ("newest", "oldest") else (None,):
                query = ListQuery(folder, sort=sort, after=Position(key, "slug0200"))  # type: ignore[arg-type]
                await catalog.list_images("a1", query)
                check(commands.finds[-2], query)
        await catalog.close()

    def check(find: Any, query: ListQuery) -> None:
        index = [*find["hint"].items()]
        assert index in [keys for keys, _ in INDEXES["images"]]
        order = [name for name, _ in mongo_lists.order_of(query)]
        assert [*find["sort"]] == order
        assert [name for name, _ in index][-len(order) :] == order or index[-1][0] == "size"
        whose = {"account_id": "a1"} | ({} if query.folder is None else {"folder": query.folder or None})
        for bound in (find["min"], find["max"]):
            assert {name: bound[name] for name in whose} == whose
            assert [*bound] == [name for name, _ in index]
        ascending = [*find["sort"].values()] == [1, 1]
        assert find["min" if ascending else "max"]["_id"] == "slug0200"

    asyncio.run(work())


def test_records_of_an_older_server_are_found_by_their_names(mongo_database: str) -> None:
    async def work() -> None:
        catalog = await MongoCatalog.open(mongo_database)
        await catalog.add_account(ACCOUNT)
        await catalog.commit_upload(image(1, filename="Älter.jpg"), CHARGE)
        await catalog._store.images.update_many({}, {"$unset": {"search_name": 1}})
        await catalog.close()
        catalog = await MongoCatalog.open(mongo_database)
        assert (await catalog.list_images("a1", ListQuery(name="älter"))).total == 1
        await catalog.close()

    asyncio.run(work())


@pytest.mark.parametrize("transactions", [True, False], ids=["transactions", "steps"])
def test_of_a_hundred_who_claim_through_two_clients_as_many_win_as_may(mongo_database: str, transactions: bool) -> None:
    """And each winner has their grant, nobody else has."""

    async def work() -> None:
        clients = [await MongoCatalog.open(mongo_database, transactions=transactions) for _ in range(2)]
        await clients[0].add_account(ACCOUNT)
        for record, allowed in ((BURN, 1), (image(7, view_limit=7), 7)):
            await clients[0].commit_upload(record, CHARGE)

            async def claim(number: int, record: Image = record) -> Image | None:
                grant = Grant(viewer(number) * 2, 2000)
                return await clients[number % 2].claim_view(record.slug, record.blob, viewer(number), grant, 1000)

            told = await asyncio.gather(*map(claim, range(100)))
            winners = [number for number, claimed in enumerate(told) if claimed]
            assert len(winners) == allowed
            grants = [await clients[1].has_grant(record.slug, viewer(number) * 2, 1500) for number in range(100)]
            assert [number for number, granted in enumerate(grants) if granted] == winners
        for client in clients:
            await client.close()

    asyncio.run(work())


def test_a_claim_that_the_driver_repeats_is_made_once(with_steps: Any) -> None:
    """An update whose answer is lost, to a server that does not remember it."""

    async def work(one: MongoCatalog, other: MongoCatalog) -> None:
        class Repeating(Dying):
            def __getattr__(self, name: str) -> Any:
                async def update_one(*args: Any, **kwargs: Any) -> Any:
                    await self._collection.update_one(*args, **kwargs)
                    return await self._collection.update_one(*args, **kwargs)

                return update_one if name == "update_one" else getattr(self._collection, name)

        await one.commit_upload(BURN, CHARGE)
        one._views._store = replace(one._store, images=Repeating(one._store.images, []))
        seen = await one.claim_view(BURN.slug, BURN.blob, viewer(1), None, 1000)
        assert seen == await other.image(BURN.slug) == replace(BURN, views=1, viewed_at=1000, let_go_at=1000)

    with_steps(work)


def test_of_two_that_settle_at_once_one_does_it(with_steps: Any) -> None:
    async def work(dying: MongoCatalog, other: MongoCatalog) -> None:
        await other.commit_upload(image(1), CHARGE)
        await other.commit_upload(image(3), CHARGE)
        die_after(dying, 2)
        with pytest.raises(Died):
            await dying.commit_upload(image(2), CHARGE)
        die_after(dying, 1)
        with pytest.raises(Died):
            await dying.delete_image("slug0003", image(3).blob, 300)
        await other.commit_upload(BURN, CHARGE)
        assert await other.claim_view(BURN.slug, BURN.blob, viewer(1), None, 1000)
        die_after(dying, 2)
        with pytest.raises(Died):
            await dying.bury_image(BURN.slug, BURN.blob, 1000)
        old = int(time.time()) - 3600
        await asyncio.gather(*(other.settle(old, 9) for _ in range(8)))
        assert await in_step(other) == (3, 1000)

    with_steps(work)


@pytest.mark.parametrize("writes", range(1, 5))
def test_a_deletion_that_dies_between_two_steps_is_settled(with_steps: Any, writes: int) -> None:
    """The mark, the answer forgotten, the bytes given back, the kept slug, the end: from the mark on it is deleted."""

    async def work(dying: MongoCatalog, other: MongoCatalog) -> None:
        await other.commit_upload(image(1), CHARGE)
        await other.commit_upload(image(2), CHARGE)
        die_after(dying, writes)
        with pytest.raises(Died):
            await dying.delete_image("slug0001", image(1).blob, 300)
        assert await other.image("slug0001") is None
        assert await other.images_page("", 9) == [image(2)]
        assert await other.blobs_known([image(1).blob, image(2).blob]) == {image(2).blob}
        assert await other.delete_image("slug0001", image(1).blob, 300) is None
        await other.repair_counts("a1", "2026-11")
        assert await other.settle(0, 9) == (1 if writes == 4 else 0), "only what guarded it goes at once"
        await other.settle(FAR, 9)
        assert await in_step(other) == (2, 1000)
        again = replace(image(1), blob="c" * 32)
        assert await refusal(other.commit_upload(replace(again, created_at=299), CHARGE)) == "slug_taken"
        await other.commit_upload(replace(again, created_at=300), CHARGE)
        assert await in_step(other) == (3, 2000)

    with_steps(work)


@pytest.mark.parametrize("writes", range(2, 5))
@pytest.mark.parametrize("how", ["bury_image", "delete_image"])
def test_an_answer_is_forgotten_though_the_end_of_its_image_has_died(with_steps: Any, how: str, writes: int) -> None:
    async def work(dying: MongoCatalog, other: MongoCatalog) -> None:
        await other.claim_key("a1", CLAIM, 1000, 1100)
        await other.commit_upload(BURN, CHARGE, CLAIM)
        await other.claim_view(BURN.slug, BURN.blob, viewer(1), None, 1000)
        die_after(dying, writes)
        await asyncio.gather(getattr(dying, how)(BURN.slug, BURN.blob, 1000), return_exceptions=True)
        while await other.settle(FAR, 9):
            pass
        assert await other.claim_key("a1", OTHER_CLAIM, 1001, 1101) == IdempotentResult(b"", None)
        assert await in_step(other) == (1, 0)

    with_steps(work)


def test_an_image_that_is_deleted_before_its_key_stands_for_it_leaves_no_answer(with_steps: Any) -> None:
    async def work(slow: MongoCatalog, other: MongoCatalog) -> None:
        updates: list[Any] = []

        class Deleting(Dying):
            def __getattr__(self, name: str) -> Any:
                async def update_one(*args: Any, **kwargs: Any) -> Any:
                    if updates:  # the first holds the claim, the second lets the key stand for the upload
                        assert await other.delete_image(IMAGE.slug, IMAGE.blob, 300) == IMAGE
                    updates.append(args)
                    return await self._collection.update_one(*args, **kwargs)

                return update_one if name == "update_one" else getattr(self._collection, name)

        await slow.claim_key("a1", CLAIM, 1000, 1100)
        slow._atomic._store = replace(slow._store, keys=Deleting(slow._store.keys, []))
        await slow.commit_upload(IMAGE, CHARGE, CLAIM)
        assert len(updates) == 2
        assert await other.claim_key("a1", OTHER_CLAIM, 1001, 1101) == IdempotentResult(b"", None)

    with_steps(work)


def test_a_commit_has_a_fresh_lease_before_it_stores_anything(with_steps: Any) -> None:
    """One whose lease has lapsed would else be overtaken between two of its steps."""

    async def work(one: MongoCatalog, other: MongoCatalog) -> None:
        refused: list[str] = []

        class Claiming(Dying):
            def __getattr__(self, name: str) -> Any:
                async def replace_one(*args: Any, **kwargs: Any) -> Any:
                    refused.append(await refusal(other.claim_key("a1", OTHER_CLAIM, int(hours_ago()), FAR)))
                    return await self._collection.replace_one(*args, **kwargs)

                return replace_one if name == "replace_one" else getattr(self._collection, name)

        await one.claim_key("a1", CLAIM, then := int(hours_ago()) - 300, then + 120)
        one._atomic._store = replace(one._store, images=Claiming(one._store.images, []))
        await one.commit_upload(IMAGE, CHARGE, CLAIM)
        assert refused == ["in_progress"]

    with_steps(work)


def test_an_account_that_0_1_0_made_can_sign_in(mongo_database: str) -> None:
    """Its document lacks what came later."""

    async def work() -> None:
        catalog = await MongoCatalog.open(mongo_database)
        await catalog.add_account(ACCOUNT)
        later = dict.fromkeys(("password_hash", "admin", "epoch", "key_used_on"), 1)
        await catalog._store.accounts.update_one({"_id": "a1"}, {"$unset": later})
        assert await catalog.account("a1") == ACCOUNT
        assert await catalog.set_password("a1", "$argon2id$") == replace(ACCOUNT, epoch=1, password_hash="$argon2id$")
        await catalog.add_session(Session(b"s" * 32, "a1", 1, "", "", 1, 1), 9)
        assert (await catalog.session(b"s" * 32) or ())[1:] == (await catalog.account("a1"),)
        await catalog.close()

    asyncio.run(work())


def test_what_0_1_0_has_kept_is_adopted_or_forgotten(mongo_database: str) -> None:
    """Documents as 0.1.0 wrote them: without a blob; of a password it had made a fast hash."""
    locked, plain, gone, buried = (image(number) for number in range(4))
    plain = replace(plain, password_hash=None)
    gone, buried = replace(gone, password_hash=None), replace(buried, password_hash=None, buried_at=1)

    async def work() -> None:
        catalog = await MongoCatalog.open(mongo_database)
        await catalog.add_account(ACCOUNT)
        for stored in (locked, plain, buried):
            await catalog._store.images.insert_one(image_document(stored))
        for number, kept in enumerate((locked, plain, gone, buried)):
            document = {"_id": f"a1 {number}", "account_id": "a1", "key": str(number), "claimed_at": 1000}
            told = {"lease_until": 1100, "fingerprint": b"fast", "answer": answer(kept, ACCOUNT, 10)}
            await catalog._store.keys.insert_one(document | told)
        await catalog.close()
        catalog = await MongoCatalog.open(mongo_database)
        found = [await catalog.claim_key("a1", Claim(str(number), "t"), 1001, 1101) for number in range(4)]
        assert [kept and (kept.fingerprint, kept.stored and kept.stored.image) for kept in found] == [
            (b"", None),
            (b"fast", plain),
            (b"", None),
            (b"", None),
        ]
        assert await catalog.delete_image(plain.slug, plain.blob, 300)
        assert await catalog.claim_key("a1", Claim("1", "t"), 1001, 1101) == IdempotentResult(b"", None)
        await catalog.close()

    asyncio.run(work())


def test_an_image_that_is_deleted_before_its_dead_commit_is_settled_stays_counted(with_steps: Any) -> None:
    async def work(dying: MongoCatalog, other: MongoCatalog) -> None:
        die_after(dying, 3)
        with pytest.raises(Died):
            await dying.commit_upload(image(1), CHARGE)
        assert await other.delete_image("slug0001", image(1).blob, 300) == image(1)
        await other.settle(FAR, 9)
        assert await in_step(other) == (1, 0)

    with_steps(work)


def test_an_account_that_is_removed_during_a_commit_keeps_nothing(with_steps: Any) -> None:
    async def work(slow: MongoCatalog, other: MongoCatalog) -> None:
        removed = []

        class Removing(Dying):
            def __getattr__(self, name: str) -> Any:
                async def replace_one(*args: Any, **kwargs: Any) -> Any:
                    removed.append(await other.remove_account(ACCOUNT.email))
                    return await self._collection.replace_one(*args, **kwargs)

                return replace_one if name == "replace_one" else getattr(self._collection, name)

        slow._atomic._store = replace(slow._store, images=Removing(slow._store.images, []))
        assert await refusal(slow.commit_upload(IMAGE, CHARGE)) == "invalid_key"
        assert removed
        assert await other.images_page("", 9) == []
        assert await other.ledger("a1", "2026-11") == 0

    with_steps(work)


def test_counts_are_mended_without_transactions_too(with_steps: Any) -> None:
    async def work(one: MongoCatalog, other: MongoCatalog) -> None:
        await one.commit_upload(image(1), CHARGE)
        await one._store.accounts.update_one({}, {"$inc": {"used": 3, "stored_bytes": -1}})
        (drifted,) = await one.counts("2026-11", "", 9)
        assert drifted.drifted
        await other.repair_counts("a1", "2026-11")
        assert await in_step(other) == (1, 1000)

    with_steps(work)


# A server that goes away


@pytest.fixture(params=[True, pytest.param(False, marks=pytest.mark.slow)], ids=["transactions", "steps"])
def own_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[MongoServer, bool]]:
    with mongo_server(tmp_path / "mongo") as server:
        yield server, request.param


def everything(catalog: MongoCatalog) -> list[Awaitable[Any]]:
    """A call of every method of the port but `close`."""
    return [
        catalog.add_account(ACCOUNT),
        catalog.account_by_key(b"unknown"),
        catalog.accounts(),
        catalog.set_plan(ACCOUNT.email, "pro"),
        catalog.set_key(ACCOUNT.email, b"n" * 32, "wxyz"),
        catalog.set_disabled(ACCOUNT.email, True),
        catalog.claim_key("a1", CLAIM, 1, 2),
        catalog.used_key("a1", CLAIM.key, 1),
        catalog.renew_key("a1", CLAIM, 3),
        catalog.free_key("a1", CLAIM),
        catalog.void_claims(),
        catalog.purge_keys(1, 9),
        catalog.commit_upload(image(2), CHARGE),
        catalog.image("slugslug"),
        catalog.delete_image(IMAGE.slug, IMAGE.blob, 300),
        catalog.claim_view(IMAGE.slug, IMAGE.blob, viewer(1), Grant(b"g" * 32, 2000), 1000),
        catalog.has_grant(IMAGE.slug, b"g" * 32, 1000),
        catalog.to_bury(1, 9),
        catalog.bury_image(IMAGE.slug, IMAGE.blob, 1000),
        catalog.purge_grants(1, 9),
        catalog.list_images("a1", ListQuery()),
        catalog.change_image(IMAGE, replace(IMAGE, folder="cats", filename="x.jpg")),
        catalog.delete_images("a1", [IMAGE.slug], 1, 2),
        catalog.move_images("a1", [IMAGE.slug], None, 1),
        catalog.rename_folder("a1", "cats", "Dogs"),
        catalog.remove_folder("a1", "cats", 9),
        catalog.add_folder(Folder("a1", "cats", "Cats", 1), 9),
        catalog.folders("a1"),
        catalog.remove_account(ACCOUNT.email),
        catalog.secret(),
        catalog.ledger("a1", "2026-11"),
        catalog.images_page("", 9),
        catalog.blobs_known(["x"]),
        catalog.expired(1, 9),
        catalog.counts("2026-11", "", 9),
        catalog.repair_counts("a1", "2026-11"),
        catalog.unsettled(1),
        catalog.settle(1, 9),
        catalog.purge_ledger("2026-11", 9),
        catalog.purge_kept_slugs(1, 9),
        catalog.add_block(Block("b1", b"s" * 32, None, "x", 1)),
        catalog.remove_block("b1"),
        catalog.blocks(),
        catalog.has_blocks(),
        catalog.is_blocked(b"s" * 32),
    ]


def test_while_the_server_is_away_every_method_says_so_soon_and_works_when_it_is_back(
    own_server: tuple[MongoServer, bool], log_guard: LogGuard
) -> None:
    log_guard.allow("^MongoClient background task encountered an error")
    server, transactions = own_server

    async def work() -> None:
        catalog = await MongoCatalog.open(server.url, transactions=transactions)
        try:
            await catalog.add_account(ACCOUNT)
            await catalog.commit_upload(IMAGE, CHARGE)
            server.kill()
            since = time.monotonic()
            told = await asyncio.gather(*map(refusal, everything(catalog)))
            assert set(told) == {"storage_unavailable"}
            assert time.monotonic() - since < mongo_base.ANSWER_SECONDS + 2
            await asyncio.to_thread(server.start)
            since = time.monotonic()
            assert await catalog.image(IMAGE.slug) == IMAGE
            assert (await catalog.commit_upload(image(2), CHARGE)).used == 2
            assert time.monotonic() - since < 3
        finally:
            await catalog.close()

    asyncio.run(work())


def test_what_is_acknowledged_survives_the_servers_death_and_all_is_in_step_afterwards(
    own_server: tuple[MongoServer, bool], log_guard: LogGuard
) -> None:
    """Eight that commit and delete while the server is killed and comes back."""
    log_guard.allow("^MongoClient background task encountered an error")  # the driver's own word on it
    server, transactions = own_server
    stored: dict[int, bool] = {}
    numbers = iter(range(10**6))
    stop = asyncio.Event()

    async def client(catalog: MongoCatalog) -> None:
        while not stop.is_set():
            number = next(numbers)
            told = await outcome(catalog.commit_upload(image(number), FOREVER))
            assert told in ("stored", "storage_unavailable")
            stored[number] = told == "stored"
            if stored[number] and number % 3 == 0:
                del stored[number]
                await outcome(catalog.delete_image(image(number).slug, image(number).blob, 300))

    async def work() -> None:
        catalog = await MongoCatalog.open(server.url, transactions=transactions)
        await catalog.add_account(ACCOUNT)
        clients = [asyncio.create_task(client(catalog)) for _ in range(8)]
        await reached(50)
        server.kill()
        await asyncio.to_thread(server.start)
        await reached(len(stored) + 50)
        stop.set()
        await asyncio.gather(*clients)
        while await catalog.settle(FAR, 500):
            pass
        await in_step(catalog)
        for number in [number for number, acknowledged in stored.items() if acknowledged]:
            assert await catalog.image(image(number).slug) == image(number)
        await catalog.close()

    async def reached(count: int) -> None:
        end = time.monotonic() + 20
        while sum(stored.values()) < count:
            assert time.monotonic() < end
            await asyncio.sleep(0.01)

    asyncio.run(work())


def test_a_server_that_is_not_there_is_told_in_one_line_without_the_password() -> None:
    async def opening(url: str) -> str:
        with pytest.raises(Fault) as caught:
            await MongoCatalog.open(url)
        assert "\n" not in caught.value.message
        return caught.value.message

    for url in ("mongodb://me:s3cret@127.0.0.1:1/db", "mongodb://me:s3cret/@x@127.0.0.1", "mongodb://"):
        told = asyncio.run(opening(url))
        assert "s3cret" not in told
        assert told
