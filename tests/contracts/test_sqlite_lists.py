"""What lists cost on SQLite, in steps of its virtual machine: no clock, so nothing that a busy machine changes."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from iuserver import forms
from iuserver.catalog import schema, sqlite, sqlite_lists
from iuserver.catalog.sqlite import SqliteCatalog
from iuserver.records import ImagePage, ListQuery, Sort
from tests.contracts.test_catalog import ACCOUNT, image

FEW, MANY = 200, 20_000
GRAIN = 10
"""Steps between two counts."""

Reader = Callable[[ListQuery], tuple[ImagePage, int]]


def filled(path: Path, images: int) -> Reader:
    """A catalog with so many images; reads a page of it and tells how many steps that took."""
    chance = random.Random(7)

    def row(number: int) -> dict[str, Any]:
        name = chance.choice(("image.png", f"IMG_{number}.jpg", f"Übung {number}.jpg"))  # many are pasted: all alike
        record = image(
            number,
            slug=f"s{number:07}",
            filename=name,
            size=chance.randrange(5000),
            created_at=200 + number // 50,
            folder="cats" if number % 3 == 0 else None,
            password_hash=None if number % 100 else "$argon2id$",
        )
        return {**asdict(record), "viewers": [], "grants": []}

    async def work() -> None:
        catalog = SqliteCatalog(path)
        await catalog.add_account(ACCOUNT)
        await catalog.add_rows("images", [row(number) for number in range(images)])
        await catalog.close()

    asyncio.run(work())
    connection = sqlite3.connect(path)

    def read(query: ListQuery) -> tuple[ImagePage, int]:
        counts = []
        connection.set_progress_handler(lambda: counts.append(1), GRAIN)
        return sqlite_lists.read_page(connection, "a1", query), len(counts) * GRAIN

    return read


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return filled(tmp_path_factory.mktemp("few") / "catalog.db", FEW)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return filled(tmp_path_factory.mktemp("many") / "catalog.db", MANY)


def pages(read: Reader, query: ListQuery, most: int) -> Iterator[tuple[ImagePage, int]]:
    """The pages of a list, each behind the one before."""
    for _ in range(most):
        page, steps = read(query)
        yield page, steps
        if not page.more:
            return
        cursor = forms.cursor_behind(page.images[-1], query.sort)
        query = replace(query, after=forms.listing({"after": cursor, "sort": query.sort}).after)


@pytest.mark.parametrize("folder", [None, "cats", ""])
@pytest.mark.parametrize("sort", forms.SORTS)
def test_no_page_by_cursor_costs_more_than_the_first(many: Reader, sort: Sort, folder: str | None) -> None:
    costs = [steps for _, steps in pages(many, ListQuery(folder, 100, sort=sort), MANY // 100)]
    assert len(costs) >= MANY // 100 // 3
    assert max(costs) <= 1.25 * costs[0] + 1000


@pytest.mark.parametrize("show", ["password", "expiring", "gone"])
def test_no_page_of_a_filtered_list_costs_more_than_the_first(many: Reader, show: Any) -> None:
    costs = [steps for _, steps in pages(many, ListQuery(limit=10, show=show, soon=6000), 50)]
    assert max(costs) <= 1.25 * costs[0] + 1000


@pytest.mark.parametrize("sort", forms.SORTS)
def test_a_page_of_a_hundred_times_as_many_costs_the_same(few: Reader, many: Reader, sort: Sort) -> None:
    query = ListQuery(limit=50, sort=sort)
    (_, first), *_, (_, last) = pages(few, query, 3)
    (_, deep) = list(pages(many, query, 300))[-1]
    assert many(query)[1] <= 1.25 * first + 1000
    assert deep <= 1.25 * last + 1000


@pytest.mark.parametrize("sort", forms.SORTS)
@pytest.mark.parametrize("name", ["image", "img_19999", "nowhere", "g"])
def test_a_search_reads_an_index_once_for_the_number_and_once_for_the_page(many: Reader, sort: Sort, name: str) -> None:
    """Rows are read for those alone that are shown."""
    assert many(ListQuery(name=name, sort=sort))[1] <= 2 * 40 * MANY
    with sqlite3.connect(":memory:") as connection:
        schema.migrate(connection)
        plan = explained(connection, ListQuery(name=name, sort=sort, show="expiring", folder="cats"))
    assert "USING COVERING INDEX images_by_name (account_id=?)" in plan
    assert "USING INDEX" not in plan


def explained(connection: sqlite3.Connection, query: ListQuery) -> str:
    """The plans of what a page reads."""
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    sqlite_lists.read_page(connection, "a1", query)
    connection.set_trace_callback(None)
    return "\n".join(row[3] for sql in statements for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}"))


@pytest.mark.parametrize("what", ["DELETE FROM images", "UPDATE images SET folder = NULL", "SELECT slug FROM images"])
def test_many_named_images_are_found_by_their_slugs(what: str) -> None:
    with sqlite3.connect(":memory:") as connection:
        schema.migrate(connection)
        named = {"account": "a1", "slugs": "[]", "now": 1}
        rows = connection.execute(f"EXPLAIN QUERY PLAN {what} WHERE {sqlite.NAMED}", named)
        assert rows.fetchone()[3] == "SEARCH images USING PRIMARY KEY (slug=?)"


def test_names_are_searchable_after_a_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog of before has lists, names, passwords and numbers of images as a new one does."""
    path = tmp_path / "catalog.db"
    connection = sqlite3.connect(path, isolation_level=None)
    lists = next(number for number, script in enumerate(schema.MIGRATIONS) if "images_by_name" in script)
    with monkeypatch.context() as older:
        older.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:lists])
        schema.migrate(connection)
    connection.execute(
        "INSERT INTO accounts VALUES ('a1', 'a', 'free', x'00', 'abcd', 1, 0, 0, '', 0, NULL, 0, 0, NULL)"
    )
    connection.execute("INSERT INTO folders VALUES ('a1', 'cats', 'Cats', 1)")
    insert = "INSERT INTO images SELECT ?, ?, 'a1', ?, 'jpg', 'image/jpeg', 9, 3, 2, '1w', 5, NULL, ?, NULL, 'api', 1, "
    for slug, name, password in (("one", "Älter.jpg", None), ("two", "b.jpg", "$argon2id$")):
        connection.execute(insert + "0, NULL, NULL, NULL", (slug, slug, name, password))
    connection.close()

    async def work() -> None:
        catalog = SqliteCatalog(path)
        (found,) = (await catalog.list_images("a1", ListQuery(name="älter"))).images
        assert (found.slug, found.removed_bytes, found.removed_kinds) == ("one", None, None)
        (locked,) = (await catalog.list_images("a1", ListQuery(show="password"))).images
        assert locked.slug == "two"
        assert await catalog.move_images("a1", ["one", "two"], "cats", 1) == {"one", "two"}
        assert (await catalog.list_images("a1", ListQuery(folder="cats"))).total == 2
        await catalog.close()

    asyncio.run(work())
