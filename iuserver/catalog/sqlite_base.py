"""SQLite: the connections of a catalog, and the writer that groups commits. What is kept, the other files know."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from iuserver.catalog.schema import migrate
from iuserver.errors import Fault
from iuserver.records import Account
from iuserver.threads import Executor, GroupCommit, Job, WorkerThreads, perform_each

Step = Callable[[sqlite3.Connection], Any]

MAX_GROUP = 64
BUSY_SECONDS = 5.0

ACCOUNT_FIELDS = [f.name for f in fields(Account)]
ACCOUNT_COLUMNS = ", ".join(ACCOUNT_FIELDS)
DISABLED, ADMIN = ACCOUNT_FIELDS.index("disabled"), ACCOUNT_FIELDS.index("admin")


class SqliteBase:
    """A database that is open. Raises Fault("storage_unavailable") when it cannot be opened or written.

    With `in_place` what writes never leaves the thread that calls it, and is committed with what other threads have.
    """

    def __init__(self, path: Path, *, in_place: bool = False) -> None:
        try:
            writing = _connect(path)
            migrate(writing)
            self._reading = _connect(path)
            self._bulk_connection = _connect(path)
        except sqlite3.DatabaseError as error:
            raise unavailable() from error
        self._writer = _Writer(writing, in_place)
        self._bulk_reader: WorkerThreads[Callable[[], Any]] = WorkerThreads("bulk-read", 1, perform_each)

    async def close(self) -> None:
        await self._writer.close()
        await self._bulk_reader.close()
        self._bulk_connection.close()
        self._reading.close()

    def _read(self, sql: str, *values: Any) -> list[Any]:
        try:
            return self._reading.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            raise unavailable() from error

    async def _bulk_read(self, sql: str, *values: Any) -> list[Any]:
        """Read what may be many rows: off the loop."""
        try:
            rows: list[Any] = await self._bulk_reader.run(lambda: self._bulk_connection.execute(sql, values).fetchall())
            return rows
        except sqlite3.OperationalError as error:
            raise unavailable() from error

    async def _write(self, sql: str, *values: Any) -> int:
        """Run one statement; returns how many rows it has changed."""
        count: int = await self._writer.commit(lambda connection: connection.execute(sql, values).rowcount)
        return count

    async def _change(self, assignments: str, where: str, which: str, *values: Any) -> Account:
        """Change the account of which a column has a value. Raises Fault("not_found")."""
        sql = f"UPDATE accounts SET {assignments} WHERE {where} = ? RETURNING {ACCOUNT_COLUMNS}"
        found = await self._writer.commit(lambda connection: connection.execute(sql, (*values, which)).fetchone())
        if found is None:
            raise no_account(which)
        return account_of(found)


class _Writer:
    """Who writes, one thread at a time, and the transactions made of what waits for it."""

    def __init__(self, connection: sqlite3.Connection, in_place: bool) -> None:
        self._connection = connection
        self._steps: Executor[Step] = (
            GroupCommit(self._commit, MAX_GROUP)
            if in_place
            else WorkerThreads("catalog", 1, self._commit, group=MAX_GROUP)
        )

    async def commit(self, step: Step) -> Any:
        """Run a step in a transaction; when this returns, it has been committed. Raises what the step raises."""
        try:
            return await self._steps.run(step)
        except sqlite3.OperationalError as error:
            raise unavailable() from error

    async def close(self) -> None:
        """Finish the steps that wait, then close."""
        await self._steps.close()
        self._connection.close()

    def _commit(self, group: Sequence[Job[Step]]) -> None:
        try:
            while not self._attempt([job for job in group if not job.error]):
                self._connection.execute("ROLLBACK")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _attempt(self, group: list[Job[Step]]) -> bool:
        """Commit a group as one; False where a step was refused after it had written, and all must be done again.

        Steps check before they write, so that hardly happens; a savepoint around each would cost every upload two
        statements, and with each a wait for the interpreter.
        """
        self._connection.execute("BEGIN IMMEDIATE")
        for job in group:
            before = self._connection.total_changes
            try:
                job.result = job.work(self._connection)
            except Exception as error:
                job.error = error
                if not self._connection.in_transaction:
                    raise  # SQLite has given up the transaction by itself, as it does when the disk is full
                if self._connection.total_changes != before:
                    return False
        self._connection.execute("COMMIT")
        return True


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")  # what is forgotten is overwritten, not only unlinked
    return connection


def account_of(row: Sequence[Any]) -> Account:
    """The account in a row of ACCOUNT_COLUMNS. Every request with a key comes through here."""
    values = list(row)
    values[DISABLED] = bool(values[DISABLED])
    values[ADMIN] = bool(values[ADMIN])
    return Account(*values)


def unavailable() -> Fault:
    return Fault("storage_unavailable", "The catalog is not available")


def no_account(which: str) -> Fault:
    """There is no account with this address, or this id."""
    return Fault("not_found", f"There is no account with the {'address' if '@' in which else 'id'} {which}")
