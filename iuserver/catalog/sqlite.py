"""The SQLite catalog: accounts, images and the ledger; what has a port of its own is in the files beside.

WAL with synchronous=FULL: a reported commit is on the disk. The writer commits all waiting steps in one transaction,
leaving out those that are refused. Point reads take microseconds and stay on the event loop; bulk reads have a thread
and a connection of their own.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import astuple, fields
from typing import Any

import orjson

from iuserver.catalog import sqlite_lists, sqlite_rows
from iuserver.catalog.sqlite_audit import SqliteAudit
from iuserver.catalog.sqlite_base import ACCOUNT_COLUMNS, account_of, no_account, unavailable
from iuserver.catalog.sqlite_credentials import SqliteCredentials
from iuserver.catalog.sqlite_invites import SqliteInvites
from iuserver.catalog.sqlite_overview import SqliteOverview
from iuserver.catalog.sqlite_sessions import SqliteSessions
from iuserver.errors import Fault, name_taken, no_such_folder, not_your_folder
from iuserver.forms import search_name
from iuserver.likeness import PART, SIZE, probes
from iuserver.likeness import distance as bits_apart
from iuserver.policy import DAY, buried, charged, claim_lost, viewed
from iuserver.ports import MAX_GRANTS
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
    Quota,
    Row,
    Stored,
)

IMAGE_FIELDS = [f.name for f in fields(Image)]
IMAGE_COLUMNS = ", ".join(IMAGE_FIELDS)
BLOCK_COLUMNS = ", ".join(f.name for f in fields(Block))
SELECT_LIKE = " UNION ALL ".join(
    f"SELECT likeness FROM blocks WHERE substr(likeness, {start}, {PART}) IN ({', '.join('?' * (8 * PART + 1))})"
    for start in range(1, SIZE, PART)
)
"""The perceptual hashes with a part that differs in one bit at most; each of the four selects reads an index alone."""
SELECT_ACCOUNT = f"SELECT {ACCOUNT_COLUMNS} FROM accounts WHERE id = ?"
UPDATE_COUNTS = "UPDATE accounts SET month = ?, used = ?, stored_bytes = ? WHERE id = ?"
INSERT_ACCOUNT = f"INSERT INTO accounts ({ACCOUNT_COLUMNS}) VALUES ({', '.join('?' * len(fields(Account)))})"
INSERT_IMAGE = f"""
    INSERT INTO images ({IMAGE_COLUMNS}, search_name, locked) SELECT {", ".join("?" * len(IMAGE_FIELDS))}, ?, ?
    WHERE NOT EXISTS (SELECT 1 FROM kept_slugs WHERE slug = ? AND until > ?)
"""
FOLDER_COLUMNS = "account_id, slug, name, created_at"
INSERT_FOLDER = f"INSERT INTO folders ({FOLDER_COLUMNS}) VALUES (?, ?, ?, ?)"
SELECT_FOLDERS = f"""
    SELECT {FOLDER_COLUMNS}, coalesce((
        SELECT images FROM image_counts AS counts
        WHERE counts.account_id = folders.account_id AND counts.folder = folders.slug
    ), 0)
    FROM folders WHERE account_id = ? ORDER BY created_at, name
"""
SELECT_KEY = """
    SELECT lease_until, fingerprint, answer FROM idempotency_keys WHERE account_id = ? AND key = ? AND claimed_at > ?
"""
CLAIM_KEY = """
    INSERT OR REPLACE INTO idempotency_keys (account_id, key, token, claimed_at, lease_until) VALUES (?, ?, ?, ?, ?)
"""
WHERE_CLAIMED = "WHERE account_id = ? AND key = ? AND token = ? AND fingerprint IS NULL"
KEEP_ANSWER = f"UPDATE idempotency_keys SET fingerprint = ?, answer = ?, blob = ? {WHERE_CLAIMED}"
FORGET_ANSWER = "UPDATE idempotency_keys SET fingerprint = x'', answer = NULL, blob = '' WHERE blob = ?"
UPDATE_VIEWS = "UPDATE images SET views = ?, viewed_at = ?, let_go_at = ? WHERE slug = ?"
INSERT_VIEWER = "INSERT OR IGNORE INTO viewers VALUES (?, ?)"
INSERT_GRANT = "INSERT INTO grants VALUES (?, ?, ?)"
DROP_GRANTS = """
    DELETE FROM grants WHERE slug = ? AND hash IN
        (SELECT hash FROM grants WHERE slug = ? ORDER BY lapses_at DESC LIMIT -1 OFFSET ?)
"""
PURGE_GRANTS = """
    DELETE FROM grants WHERE (slug, hash) IN (SELECT slug, hash FROM grants WHERE lapses_at <= ? LIMIT ?)
"""
SELECT_TO_BURY = f"SELECT {IMAGE_COLUMNS} FROM images WHERE let_go_at <= ? ORDER BY let_go_at LIMIT ?"
BURY = """
    UPDATE images SET filename = ?, search_name = ?, size = 0, password_hash = NULL, locked = 0, expires_at = ?,
        let_go_at = NULL, buried_at = ?, removed_bytes = NULL, removed_kinds = NULL
    WHERE slug = ?
"""
CHANGE_IMAGE = """
    UPDATE images SET filename = ?, search_name = ?, folder = ?, expiration = ?, expires_at = ?, view_limit = ?,
        password_hash = ?, locked = ?
    WHERE slug = ?
"""
NAMED = """
    +account_id = :account AND slug IN (SELECT value FROM json_each(:slugs))
    AND (expires_at IS NULL OR +expires_at > :now)
"""
"""Those of an account's images that have these slugs and have not expired; no index but the slug's is of use."""
TAKE_OUT = """
    UPDATE images SET folder = NULL WHERE slug IN
        (SELECT slug FROM images WHERE account_id = ? AND folder = ? ORDER BY created_at LIMIT ?)
"""
GIVE_BACK = "UPDATE accounts SET stored_bytes = stored_bytes - ? WHERE id = ?"
INSERT_LEDGER = "INSERT INTO ledger (month, account_id, blob, slug) VALUES (?, ?, ?, ?)"
TRUE_BYTES = "(SELECT coalesce(sum(size), 0) FROM images WHERE images.account_id = accounts.id)"
TRUE_USED = "(SELECT count(*) FROM ledger WHERE ledger.month = max(accounts.month, ?) AND account_id = accounts.id)"
SELECT_COUNTS = f"""
    SELECT id, email, stored_bytes, {TRUE_BYTES}, iif(month >= ?, used, 0), {TRUE_USED}
    FROM accounts WHERE id > ? ORDER BY id LIMIT ?
"""
REPAIR_COUNTS = f"""
    UPDATE accounts SET stored_bytes = {TRUE_BYTES}, used = {TRUE_USED}, month = max(month, ?) WHERE id = ?
"""
SELECT_EXPIRED = f"SELECT {IMAGE_COLUMNS} FROM images WHERE expires_at <= ? ORDER BY expires_at LIMIT ?"
PURGE_LEDGER = """
    DELETE FROM ledger WHERE (month, account_id, blob) IN
        (SELECT month, account_id, blob FROM ledger WHERE month < ? LIMIT ?)
"""
PURGE_KEYS = """
    DELETE FROM idempotency_keys WHERE (account_id, key) IN
        (SELECT account_id, key FROM idempotency_keys WHERE claimed_at <= ? LIMIT ?)
"""
PURGE_SLUGS = "DELETE FROM kept_slugs WHERE slug IN (SELECT slug FROM kept_slugs WHERE until <= ? LIMIT ?)"


class SqliteCatalog(SqliteCredentials, SqliteSessions, SqliteInvites, SqliteAudit, SqliteOverview):
    """All ports of a catalog in one file; here is the port Catalog."""

    async def add_account(self, account: Account) -> None:
        def step(connection: sqlite3.Connection) -> None:
            try:
                connection.execute(INSERT_ACCOUNT, astuple(account))
            except sqlite3.IntegrityError:
                raise Fault("name_taken", f"There is an account with the address {account.email} already") from None

        await self._writer.commit(step)

    async def account_by_key(self, key_hash: bytes) -> Account | None:
        rows = self._read(f"SELECT {ACCOUNT_COLUMNS} FROM accounts WHERE key_hash = ?", key_hash)
        return account_of(rows[0]) if rows else None

    async def accounts(self) -> list[Account]:
        return [
            account_of(row) for row in self._read(f"SELECT {ACCOUNT_COLUMNS} FROM accounts ORDER BY created_at, email")
        ]

    async def set_plan(self, email: str, plan: str) -> Account:
        return await self._change("plan = ?", "email", email, plan)

    async def set_key(self, email: str, key_hash: bytes, key_last4: str) -> Account:
        return await self._change(
            "key_hash = ?, key_last4 = ?, key_used_on = NULL", "email", email, key_hash, key_last4
        )

    async def set_disabled(self, email: str, disabled: bool) -> Account:
        return await self._change("disabled = ?, epoch = epoch + 1", "email", email, disabled)

    async def claim_key(self, account_id: str, claim: Claim, now: int, lease_until: int) -> IdempotentResult | None:
        def step(connection: sqlite3.Connection) -> IdempotentResult | None:
            used = _used(connection.execute(SELECT_KEY, (account_id, claim.key, now - DAY)).fetchone(), now)
            if not used:
                connection.execute(CLAIM_KEY, (account_id, claim.key, claim.token, now, lease_until))
            return used

        kept: IdempotentResult | None = await self._writer.commit(step)
        return kept

    async def used_key(self, account_id: str, key: str, now: int) -> IdempotentResult | None:
        rows = self._read(SELECT_KEY, account_id, key, now - DAY)
        return _used(rows[0] if rows else None, now)

    async def renew_key(self, account_id: str, claim: Claim, lease_until: int) -> None:
        sql, values = f"UPDATE idempotency_keys SET lease_until = ? {WHERE_CLAIMED}", _claimed(account_id, claim)
        await self._writer.commit(lambda connection: connection.execute(sql, (lease_until, *values)).rowcount)

    async def free_key(self, account_id: str, claim: Claim) -> None:
        sql, values = f"DELETE FROM idempotency_keys {WHERE_CLAIMED}", _claimed(account_id, claim)
        await self._writer.commit(lambda connection: connection.execute(sql, values).rowcount)

    async def void_claims(self) -> None:
        sql = "DELETE FROM idempotency_keys WHERE fingerprint IS NULL"
        await self._writer.commit(lambda connection: connection.execute(sql).rowcount)

    async def purge_keys(self, now: int, limit: int) -> int:
        forgotten: int = await self._writer.commit(
            lambda connection: connection.execute(PURGE_KEYS, (now - DAY, limit)).rowcount
        )
        return forgotten

    async def commit_upload(self, image: Image, charge: Charge, claim: Claim | None = None) -> Account:
        image_row = [getattr(image, name) for name in IMAGE_FIELDS]

        def step(connection: sqlite3.Connection) -> Account:
            row = connection.execute(SELECT_ACCOUNT, (charge.account_id,)).fetchone()
            account = charged(account_of(row) if row else None, charge, image.size)
            _check_folder(connection, image.account_id, image.folder)
            if claim:
                _check_claim(connection, account.id, claim)
            _insert_image(connection, image_row, image)
            if charge.counted:
                connection.execute(INSERT_LEDGER, (account.month, account.id, image.blob, image.slug))
            connection.execute(UPDATE_COUNTS, (account.month, account.used, account.stored_bytes, account.id))
            if claim:
                answer = orjson.dumps(Stored(image, Quota(account.used, charge.uploads_limit, account.plan)))
                kept = (claim.fingerprint, answer, image.blob)
                connection.execute(KEEP_ANSWER, (*kept, *_claimed(account.id, claim)))
            return account

        account: Account = await self._writer.commit(step)
        return account

    async def image(self, slug: str) -> Image | None:
        rows = self._read(f"SELECT {IMAGE_COLUMNS} FROM images WHERE slug = ?", slug)
        return Image(*rows[0]) if rows else None

    async def delete_image(self, slug: str, blob: str, keep_slug_until: int) -> Image | None:
        def step(connection: sqlite3.Connection) -> Image | None:
            sql = f"DELETE FROM images WHERE slug = ? AND blob = ? RETURNING {IMAGE_COLUMNS}"
            row = connection.execute(sql, (slug, blob)).fetchone()
            if row is None:
                return None
            image = Image(*row)
            connection.execute(GIVE_BACK, (image.size, image.account_id))
            connection.execute("INSERT OR REPLACE INTO kept_slugs VALUES (?, ?)", (slug, keep_slug_until))
            connection.execute(FORGET_ANSWER, (blob,))
            return image

        image: Image | None = await self._writer.commit(step)
        return image

    async def claim_view(self, slug: str, blob: str, viewer: bytes, grant: Grant | None, now: int) -> Image | None:
        def step(connection: sqlite3.Connection) -> Image | None:
            image = _image_of_blob(connection, slug, blob)
            if image is None:
                return None
            known = connection.execute("SELECT 1 FROM viewers WHERE slug = ? AND viewer = ?", (slug, viewer)).fetchone()
            (granted,) = connection.execute("SELECT max(lapses_at) FROM grants WHERE slug = ?", (slug,)).fetchone()
            after = viewed(image, bool(known), max(granted or 0, grant.lapses_at if grant else 0), now)
            if after is None:
                return None
            if not known:
                connection.execute(UPDATE_VIEWS, (after.views, after.viewed_at, after.let_go_at, slug))
                connection.execute(INSERT_VIEWER, (slug, viewer))
            if grant:
                connection.execute(INSERT_GRANT, (slug, grant.hash, grant.lapses_at))
                connection.execute(DROP_GRANTS, (slug, slug, MAX_GRANTS))
            return after

        image: Image | None = await self._writer.commit(step)
        return image

    async def has_grant(self, slug: str, hash: bytes, now: int) -> bool:
        return bool(self._read("SELECT 1 FROM grants WHERE slug = ? AND hash = ? AND lapses_at > ?", slug, hash, now))

    async def to_bury(self, now: int, limit: int) -> list[Image]:
        return [Image(*row) for row in await self._bulk_read(SELECT_TO_BURY, now, limit)]

    async def bury_image(self, slug: str, blob: str, now: int) -> Image | None:
        def step(connection: sqlite3.Connection) -> Image | None:
            image = _image_of_blob(connection, slug, blob)
            stone = buried(image, now) if image else None
            if image is None or stone is None:
                return None
            name = (stone.filename, search_name(stone.filename))
            connection.execute(BURY, (*name, stone.expires_at, stone.buried_at, slug))
            connection.execute(GIVE_BACK, (image.size, image.account_id))
            connection.execute("DELETE FROM viewers WHERE slug = ?", (slug,))
            connection.execute("DELETE FROM grants WHERE slug = ?", (slug,))
            connection.execute(FORGET_ANSWER, (blob,))
            return image

        image: Image | None = await self._writer.commit(step)
        return image

    async def purge_grants(self, now: int, limit: int) -> int:
        return await self._write(PURGE_GRANTS, now, limit)

    async def change_image(self, before: Image, after: Image) -> bool:
        name = (after.filename, search_name(after.filename))
        expiry = (after.expiration, after.expires_at, after.view_limit)

        def step(connection: sqlite3.Connection) -> bool:
            if _image_of_blob(connection, before.slug, before.blob) != before:
                return False
            if after.folder != before.folder:
                _check_folder(connection, after.account_id, after.folder)
            locked = (after.password_hash, after.password_hash is not None)
            connection.execute(CHANGE_IMAGE, (*name, after.folder, *expiry, *locked, before.slug))
            return True

        changed: bool = await self._writer.commit(step)
        return changed

    async def delete_images(
        self, account_id: str, slugs: list[str], now: int, keep_slug_until: int
    ) -> list[tuple[str, str]]:
        named = {"account": account_id, "slugs": json.dumps(slugs), "now": now}

        def step(connection: sqlite3.Connection) -> list[tuple[str, str]]:
            rows = connection.execute(f"DELETE FROM images WHERE {NAMED} RETURNING slug, blob, size", named).fetchall()
            if not rows:
                return []
            connection.execute(GIVE_BACK, (sum(size for _, _, size in rows), account_id))
            kept = [(slug, keep_slug_until) for slug, _, _ in rows]
            connection.executemany("INSERT OR REPLACE INTO kept_slugs VALUES (?, ?)", kept)
            connection.executemany(FORGET_ANSWER, [(blob,) for _, blob, _ in rows])
            return [(slug, blob) for slug, blob, _ in rows]

        deleted: list[tuple[str, str]] = await self._writer.commit(step)
        return deleted

    async def move_images(self, account_id: str, slugs: list[str], folder: str | None, now: int) -> set[str]:
        named = {"account": account_id, "slugs": json.dumps(slugs), "now": now, "folder": folder}

        def step(connection: sqlite3.Connection) -> set[str]:
            _check_folder(connection, account_id, folder)
            connection.execute(f"UPDATE images SET folder = :folder WHERE {NAMED} AND folder IS NOT :folder", named)
            return {slug for (slug,) in connection.execute(f"SELECT slug FROM images WHERE {NAMED}", named)}

        moved: set[str] = await self._writer.commit(step)
        return moved

    async def list_images(self, account_id: str, query: ListQuery) -> ImagePage:
        def look() -> ImagePage:
            connection = self._bulk_connection
            connection.execute("BEGIN")  # so that the total and the page are of the same moment
            try:
                return sqlite_lists.read_page(connection, account_id, query)
            finally:
                connection.execute("ROLLBACK")

        try:
            found: ImagePage = await self._bulk_reader.run(look)
            return found
        except sqlite3.OperationalError as error:
            raise unavailable() from error

    async def add_folder(self, folder: Folder, limit: int) -> None:
        def step(connection: sqlite3.Connection) -> None:
            sql = "SELECT count(*), total(name = ? OR slug = ?) FROM folders WHERE account_id = ?"
            count, same = connection.execute(sql, (folder.name, folder.slug, folder.account_id)).fetchone()
            if same:
                raise name_taken(folder.name)
            if count >= limit:
                raise Fault("folder_limit", f"An account may have {limit} folders")
            connection.execute(INSERT_FOLDER, astuple(folder))

        await self._writer.commit(step)

    async def folders(self, account_id: str) -> list[tuple[Folder, int]]:
        rows = self._read(SELECT_FOLDERS, account_id)
        return [(Folder(*row[:-1]), row[-1]) for row in rows]

    async def rename_folder(self, account_id: str, slug: str, name: str) -> Folder:
        def step(connection: sqlite3.Connection) -> Folder:
            sql = "SELECT slug FROM folders WHERE account_id = ? AND name = ?"
            if connection.execute(sql, (account_id, name)).fetchone() not in (None, (slug,)):
                raise name_taken(name)
            sql = f"UPDATE folders SET name = ? WHERE account_id = ? AND slug = ? RETURNING {FOLDER_COLUMNS}"
            row = connection.execute(sql, (name, account_id, slug)).fetchone()
            if row is None:
                raise no_such_folder()
            return Folder(*row)

        renamed: Folder = await self._writer.commit(step)
        return renamed

    async def remove_folder(self, account_id: str, slug: str, limit: int) -> bool:
        which = (account_id, slug)

        def step(connection: sqlite3.Connection) -> bool:
            if not connection.execute("SELECT 1 FROM folders WHERE account_id = ? AND slug = ?", which).fetchone():
                raise no_such_folder()
            if connection.execute(TAKE_OUT, (*which, limit)).rowcount == limit:
                return False  # there may be more
            connection.execute("DELETE FROM folders WHERE account_id = ? AND slug = ?", which)
            connection.execute("DELETE FROM image_counts WHERE account_id = ? AND folder = ?", which)
            return True

        removed: bool = await self._writer.commit(step)
        return removed

    async def remove_account(self, email: str) -> None:
        def step(connection: sqlite3.Connection) -> None:
            row = connection.execute("SELECT id FROM accounts WHERE email = ?", (email,)).fetchone()
            if row is None:
                raise no_account(email)
            connection.execute("DELETE FROM folders WHERE account_id = ?", row)
            connection.execute("DELETE FROM ledger WHERE account_id = ?", row)
            connection.execute("DELETE FROM idempotency_keys WHERE account_id = ?", row)
            connection.execute("DELETE FROM accounts WHERE id = ?", row)  # and with it sessions and links

        await self._writer.commit(step)

    async def secret(self) -> bytes:
        def step(connection: sqlite3.Connection) -> bytes:
            connection.execute("INSERT OR IGNORE INTO secrets VALUES ('signing', randomblob(32))")
            (value,) = connection.execute("SELECT value FROM secrets WHERE name = 'signing'").fetchone()
            return bytes(value)

        value: bytes = await self._writer.commit(step)
        return value

    async def ledger(self, account_id: str, month: str) -> int:
        rows = self._read("SELECT count(*) FROM ledger WHERE month = ? AND account_id = ?", month, account_id)
        return int(rows[0][0])

    async def images_page(self, after_slug: str, limit: int) -> list[Image]:
        sql = f"SELECT {IMAGE_COLUMNS} FROM images WHERE slug > ? ORDER BY slug LIMIT ?"
        return [Image(*row) for row in await self._bulk_read(sql, after_slug, limit)]

    async def blobs_known(self, keys: list[str]) -> set[str]:
        sql = "SELECT blob FROM images WHERE blob IN (SELECT value FROM json_each(?)) AND buried_at IS NULL"
        return {blob for (blob,) in await self._bulk_read(sql, json.dumps(keys))}

    async def expired(self, now: int, limit: int) -> list[Image]:
        return [Image(*row) for row in await self._bulk_read(SELECT_EXPIRED, now, limit)]

    async def counts(self, month: str, after_id: str, limit: int) -> list[AccountCounts]:
        return [AccountCounts(*row) for row in await self._bulk_read(SELECT_COUNTS, month, month, after_id, limit)]

    async def repair_counts(self, account_id: str, month: str) -> None:
        await self._writer.commit(lambda connection: connection.execute(REPAIR_COUNTS, (month, month, account_id)))

    async def unsettled(self, before: int) -> int:
        return 0  # a transaction leaves nothing half done

    async def settle(self, before: int, limit: int) -> int:
        return 0

    async def purge_ledger(self, before_month: str, limit: int) -> int:
        return await self._write(PURGE_LEDGER, before_month, limit)

    async def purge_kept_slugs(self, now: int, limit: int) -> int:
        return await self._write(PURGE_SLUGS, now, limit)

    async def size(self, kind: str) -> int:
        rows = await self._bulk_read(sqlite_rows.COUNT[kind])
        return int(rows[0][0])

    async def rows(self, kind: str, after: Row | None, batch: int) -> AsyncIterator[list[Row]]:
        while True:
            sql, values = sqlite_rows.selection(kind, after, batch)
            rows = [sqlite_rows.row_of(kind, found) for found in await self._bulk_read(sql, *values)]
            if not rows:
                return
            yield rows
            after = rows[-1]

    async def last_row(self, kind: str) -> Row | None:
        rows = await self._bulk_read(sqlite_rows.LAST[kind])
        return sqlite_rows.row_of(kind, rows[0]) if rows else None

    async def add_rows(self, kind: str, rows: list[Row]) -> None:
        await self._writer.commit(lambda connection: sqlite_rows.insert(connection, kind, rows))

    async def add_block(self, block: Block) -> None:
        sql = f"""INSERT INTO blocks ({BLOCK_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET likeness = coalesce(likeness, excluded.likeness)"""
        await self._writer.commit(lambda connection: connection.execute(sql, astuple(block)).rowcount)

    async def remove_block(self, id: str) -> None:
        def step(connection: sqlite3.Connection) -> None:
            if not connection.execute("DELETE FROM blocks WHERE id = ?", (id,)).rowcount:
                raise Fault("not_found", f"There is nothing with the id {id} on the blocklist")

        await self._writer.commit(step)

    async def blocks(self) -> list[Block]:
        rows = await self._bulk_read(f"SELECT {BLOCK_COLUMNS} FROM blocks ORDER BY created_at, id")
        return [Block(*row) for row in rows]

    async def has_blocks(self) -> bool:
        return bool(self._read("SELECT 1 FROM blocks LIMIT 1"))

    async def is_blocked(self, sha256: bytes) -> bool:
        return bool(self._read("SELECT 1 FROM blocks WHERE sha256 = ?", sha256))

    async def snapshot(self, path: str) -> None:
        def copy() -> None:
            target = sqlite3.connect(path)
            try:
                self._bulk_connection.backup(target)  # in one step: in steps it would begin anew at every commit
            finally:
                target.close()

        try:
            await self._bulk_reader.run(copy)
        except sqlite3.OperationalError as error:
            raise unavailable() from error

    async def has_likenesses(self) -> bool:
        return bool(self._read("SELECT 1 FROM blocks WHERE substr(likeness, 1, 2) > x'' LIMIT 1"))

    async def is_like_blocked(self, likeness: bytes, distance: int) -> bool:
        values = [value for part in probes(likeness) for value in part]
        return any(bits_apart(likeness, found) <= distance for (found,) in self._read(SELECT_LIKE, *values))


def _used(row: Any, now: int) -> IdempotentResult | None:
    """What a row of `SELECT_KEY` stands for. Raises Fault("in_progress") where an upload holds it."""
    if row and row[1] is not None:
        return _idempotent_result(*row[1:])
    if row and row[0] > now:
        raise Fault("in_progress", "An upload with this Idempotency-Key is under way", retry_after=2)
    return None


def _idempotent_result(fingerprint: bytes, answer: bytes | None) -> IdempotentResult:
    if answer is None:
        return IdempotentResult(fingerprint, None)
    parsed = orjson.loads(answer)
    return IdempotentResult(fingerprint, Stored(Image(**parsed["image"]), Quota(**parsed["quota"]), replayed=True))


def _image_of_blob(connection: sqlite3.Connection, slug: str, blob: str) -> Image | None:
    sql = f"SELECT {IMAGE_COLUMNS} FROM images WHERE slug = ? AND blob = ?"
    row = connection.execute(sql, (slug, blob)).fetchone()
    return Image(*row) if row else None


def _check_folder(connection: sqlite3.Connection, account_id: str, folder: str | None) -> None:
    if folder is None:
        return
    sql = "SELECT 1 FROM folders WHERE account_id = ? AND slug = ?"
    if not connection.execute(sql, (account_id, folder)).fetchone():
        raise not_your_folder()


def _claimed(account_id: str, claim: Claim) -> tuple[str, str, str]:
    """The values of WHERE_CLAIMED."""
    return account_id, claim.key, claim.token


def _check_claim(connection: sqlite3.Connection, account_id: str, claim: Claim) -> None:
    """Raises Fault("in_progress") where the claim does not hold its key any more."""
    sql = f"SELECT 1 FROM idempotency_keys {WHERE_CLAIMED}"
    if not connection.execute(sql, _claimed(account_id, claim)).fetchone():
        raise claim_lost()


def _insert_image(connection: sqlite3.Connection, row: list[Any], image: Image) -> None:
    """Insert a record, unless its slug is in use or kept for a deleted image."""
    try:
        derived = [search_name(image.filename), image.password_hash is not None]
        values = [*row, *derived, image.slug, image.created_at]
        inserted = connection.execute(INSERT_IMAGE, values).rowcount
    except sqlite3.IntegrityError:
        inserted = 0
    if not inserted:
        raise Fault("slug_taken", "This short link is taken")
