"""What the suites of the ports share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from iuserver.catalog.mongo import MongoCatalog
from iuserver.catalog.sqlite import SqliteCatalog
from iuserver.ports import WholeCatalog
from iuserver.writer.client import WriterProcess, writer_catalog

LARGE = 20 * 1024 * 1024 + 1


@pytest.fixture
def large(tmp_path: Path) -> str:
    path = tmp_path / "large"
    with path.open("wb") as file:
        for number in range(LARGE // 1024):
            file.write(number.to_bytes(4, "big") * 256)
        file.write(b"!")
    return str(path)


Work = Callable[[Any], Awaitable[Any]]


Opening = Callable[[], Awaitable[WholeCatalog]]


@pytest.fixture(
    params=["sqlite", pytest.param("sqlite, kept", marks=pytest.mark.slow), "mongo", "mongo without transactions"]
)
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Opening:
    """Opens a catalog over the test's own store, each time a new one."""
    url = None if request.param.startswith("sqlite") else request.getfixturevalue("mongo_database")

    async def opened() -> WholeCatalog:
        if request.param == "sqlite, kept":
            return await kept(tmp_path / "catalog.db")
        if url is None:
            return SqliteCatalog(tmp_path / "catalog.db")
        return await MongoCatalog.open(url, "node", transactions=request.param == "mongo")

    return opened


async def kept(path: Path) -> WholeCatalog:
    """A catalog with a writer process of its own, which goes with it."""
    local, writer = SqliteCatalog(path), WriterProcess(path, None, sync=True)
    await writer.start()
    catalog: Any = writer_catalog(local, writer)

    async def close() -> None:
        await writer.close()
        await local.close()

    catalog.close = close
    return catalog  # type: ignore[no-any-return]


@pytest.fixture
def on_catalog(opening: Opening) -> Callable[[Work], Any]:
    """Runs work on a catalog that is opened for it and closed afterwards, so that what was stored must persist."""

    def run(work: Work) -> Any:
        async def opened_for_it() -> Any:
            catalog = await opening()
            try:
                return await work(catalog)
            finally:
                await catalog.close()

        return asyncio.run(opened_for_it())

    return run
