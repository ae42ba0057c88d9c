"""The ports: interfaces of the catalog (records by slug) and the blob store (bytes by key).

docs/catalog.md describes each atomic step on SQLite and on MongoDB.
A backend that is away or full raises Fault("storage_unavailable") from any method; no vendor's error leaks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol, runtime_checkable

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
    Row,
)

MAX_GRANTS = 1000
"""So many grants of one image are kept: more than it can have viewers (forms.MAX_VIEWS)."""


class Catalog(Protocol):
    """Accounts, images and the ledger of uploads."""

    async def add_account(self, account: Account) -> None:
        """Store a new account. Raises Fault("name_taken") when its e-mail address is in use."""

    async def account_by_key(self, key_hash: bytes) -> Account | None:
        """The account whose key has this SHA-256, disabled or not."""

    async def accounts(self) -> list[Account]:
        """All accounts, oldest first."""

    async def set_plan(self, email: str, plan: str) -> Account:
        """Put an account on a plan. Raises Fault("not_found")."""

    async def set_key(self, email: str, key_hash: bytes, key_last4: str) -> Account:
        """Replace an account's key; the old one is dead when this returns. Raises Fault("not_found")."""

    async def set_disabled(self, email: str, disabled: bool) -> Account:
        """Disable or enable an account. Raises Fault("not_found")."""

    async def claim_key(self, account_id: str, claim: Claim, now: int, lease_until: int) -> IdempotentResult | None:
        """Claim an idempotency key for an upload that begins; None: it is claimed, until `lease_until`.

        Returns its stored result if an upload of the last 24 hours has used it. Raises Fault("in_progress") while
        another claim holds it.
        """

    async def used_key(self, account_id: str, key: str, now: int) -> IdempotentResult | None:
        """The stored result of an idempotency key, without claiming it; None if there is none.

        Raises Fault("in_progress") while an upload holds it.
        """

    async def renew_key(self, account_id: str, claim: Claim, lease_until: int) -> None:
        """Hold a claimed key for longer, unless another claim has taken it over."""

    async def free_key(self, account_id: str, claim: Claim) -> None:
        """Release a claim; a key that has a result, or was claimed again, stays."""

    async def void_claims(self) -> None:
        """Release the claims that this server held before its restart."""

    async def purge_keys(self, now: int, limit: int) -> int:
        """Delete up to `limit` idempotency keys that are older than 24 hours; returns how many."""

    async def commit_upload(self, image: Image, charge: Charge, claim: Claim | None = None) -> Account:
        """Store a record, its ledger row and its charge as one, and return the account as it is afterwards.

        It counts in the month that `policy.charged_month` says. With `claim`, which must still hold its idempotency
        key, the key stores this result, until the image is deleted or buried; then it is merely marked as used.

        Nothing is stored when it raises Fault: "invalid_key" (the key was replaced or the account disabled
        meanwhile), "in_progress" (another claim has taken the idempotency key over), "quota_exceeded",
        "storage_quota_exceeded", "slug_taken", "bad_field" (there is no such folder).
        """

    async def image(self, slug: str) -> Image | None:
        """The record of a slug."""

    async def delete_image(self, slug: str, blob: str, keep_slug_until: int) -> Image | None:
        """Delete a record, if it is still the one of this blob, and give its account the bytes back, as one.

        Its ledger row stays, and its slug cannot be used again before `keep_slug_until`. Of the answer that an
        idempotency key stood for nothing is left. Returns the record, or None where there is none (any more): of two
        that delete it at once, one gets it.
        """

    async def claim_view(self, slug: str, blob: str, viewer: bytes, grant: Grant | None, now: int) -> Image | None:
        """Count a view of an image, if it is still the one of this blob, and keep the grant that goes with it, as one.

        Who has been counted before (`viewer`) is not counted again. Returns the record as it is afterwards, by
        `policy.viewed`; None where the image is gone, expired or used up: then nothing is kept. The viewers and grants
        of an image go with its record. Of its grants, `MAX_GRANTS` are kept, the latest.
        """

    async def has_grant(self, slug: str, hash: bytes, now: int) -> bool:
        """Whether an image has this grant, and it has not lapsed."""

    async def to_bury(self, now: int, limit: int) -> list[Image]:
        """Up to `limit` records that are used up and whose bytes are to go by now, the oldest first."""

    async def bury_image(self, slug: str, blob: str, now: int) -> Image | None:
        """Make a record the tombstone that `policy.buried` says, and give its account the bytes back, as one.

        Its viewers and grants are forgotten, and the answer that an idempotency key stood for. Returns the record as it
        was before; None where nothing was to be done: of two that bury it at once, one gets it.
        """

    async def purge_grants(self, now: int, limit: int) -> int:
        """Delete up to `limit` lapsed grants; returns how many there were."""

    async def change_image(self, before: Image, after: Image) -> bool:
        """Replace a record by one of another name, folder, expiry or password; False if it is not as it was `before`.

        Raises Fault("bad_field") where there is no such folder.
        """

    async def delete_images(
        self, account_id: str, slugs: list[str], now: int, keep_slug_until: int
    ) -> list[tuple[str, str]]:
        """Delete those of an account's images that are there and not expired, each as `delete_image` does.

        Returns the slug and the blob of each that is deleted. SQLite and MongoDB's transactions take them as one.
        """

    async def move_images(self, account_id: str, slugs: list[str], folder: str | None, now: int) -> set[str]:
        """Put those of an account's images that are there and not expired into a folder (None: into none).

        Returns the slugs of those that are in it now. Raises Fault("bad_field") where there is no such folder.
        """

    async def list_images(self, account_id: str, query: ListQuery) -> ImagePage:
        """A page of an account's records, tombstones included.

        Those that are sorted alike come in the order of slugs, backwards where the order is. The time of a page by the
        order alone, or of the newest and oldest in a folder, hardly grows with the number of records; any other page
        reads one index of the account's.
        """

    async def images_of(self, account_id: str) -> list[Image]:
        """All records of an account."""

    async def add_folder(self, folder: Folder, limit: int) -> None:
        """Store a new folder. Raises Fault: name_taken (the name or the slug is in use), folder_limit."""

    async def folders(self, account_id: str) -> list[tuple[Folder, int]]:
        """An account's folders, oldest first, each with the number of its images."""

    async def rename_folder(self, account_id: str, slug: str, name: str) -> Folder:
        """Give a folder another name; its slug stays. Raises Fault: not_found, name_taken."""

    async def remove_folder(self, account_id: str, slug: str, limit: int) -> bool:
        """Take up to `limit` images out of a folder, and delete it if none is left; whether it has been.

        Raises Fault("not_found").
        """

    async def remove_account(self, email: str) -> None:
        """Delete an account that has no images any more, with its folders and ledger. Raises Fault("not_found")."""

    async def secret(self) -> bytes:
        """The 32 random bytes that this service signs with, made once and kept."""

    async def ledger(self, account_id: str, month: str) -> int:
        """How many ledger rows an account has in a month: what its count must equal."""

    async def images_page(self, after_slug: str, limit: int) -> list[Image]:
        """The first `limit` records after a slug, ordered by slug; "" comes before all."""

    async def blobs_known(self, keys: list[str]) -> set[str]:
        """Which of these blobs have a record that is no tombstone."""

    async def expired(self, now: int, limit: int) -> list[Image]:
        """Up to `limit` records whose time is over, the oldest first."""

    async def counts(self, month: str, after_id: str, limit: int) -> list[AccountCounts]:
        """The counts of the first `limit` accounts behind an id, kept and true ones as of the same moment.

        `used` is that of `month`, or of the account's own month where that is a later one: at a month's end a caller's
        clock may be behind.
        """

    async def repair_counts(self, account_id: str, month: str) -> None:
        """Set an account's counts to what its records and the ledger say, as one; which month as in `counts`."""

    async def unsettled(self, before: int) -> int:
        """How many commits, deletions and burials began before a time and died half way."""

    async def settle(self, before: int, limit: int) -> int:
        """Finish up to `limit` of each of these, or roll them back; returns how many there were."""

    async def purge_ledger(self, before_month: str, limit: int) -> int:
        """Delete up to `limit` ledger rows of months before this one; returns how many there were."""

    async def purge_kept_slugs(self, now: int, limit: int) -> int:
        """Free up to `limit` slugs that were reserved until now; returns how many there were."""

    async def add_block(self, block: Block) -> None:
        """Put a picture on the blocklist; an existing entry (the same id) stays as it is."""

    async def remove_block(self, id: str) -> None:
        """Take a picture off the blocklist. Raises Fault("not_found")."""

    async def blocks(self) -> list[Block]:
        """The blocklist, oldest first."""

    async def has_blocks(self) -> bool:
        """Whether there is anything on the blocklist."""

    async def is_blocked(self, sha256: bytes) -> bool:
        """Whether the picture whose stored bytes have this SHA-256 is on the blocklist."""

    async def close(self) -> None:
        """Finish pending work and close."""


class Copyable(Catalog, Protocol):
    """A catalog that can be copied in constant memory: all that is in it, as rows.

    `kind` is one of `records.ROW_KEYS`. An account's row has its folders in it, and `shelves`: how many images are in
    each, "" for none; an image's row its viewers and grants. Of idempotency keys there are those that stand for an
    upload.
    """

    async def size(self, kind: str) -> int:
        """How many rows there are."""

    def rows(self, kind: str, after: Row | None, batch: int) -> AsyncIterator[list[Row]]:
        """The rows after one (None: from the start), in the order of their keys, at most `batch` at a time."""

    async def last_row(self, kind: str) -> Row | None:
        """The last row in that order, if there is one."""

    async def add_rows(self, kind: str, rows: list[Row]) -> None:
        """Store rows, in their order; those that are there already do no harm."""


class Blob(Protocol):
    """Bytes that were opened for reading; they stay readable when the blob is deleted meanwhile."""

    size: int

    def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to but not including `stop`, in chunks of constant size."""

    def close(self) -> None:
        """Release the blob; safe to call twice."""


class BlobStore(Protocol):
    """Immutable bytes by key. Keys are ours (lower-case hex), never a client's."""

    async def put(self, key: str, path: str) -> int:
        """Store the file at `path` as the blob `key`; when this returns, its bytes and its name survive a crash.

        Returns how many bytes the blob has. The file at `path` must not be written to afterwards; the blob may be the
        same file under another name. A key is never overwritten. Raises Fault("storage_unavailable"), of which Tampered
        where somebody still has the file open for writing.
        """

    async def open(self, key: str) -> Blob:
        """Open a blob. Raises Fault("not_found")."""

    async def size(self, key: str) -> int | None:
        """How many bytes a blob has, without opening it; None where there is none."""

    async def delete(self, key: str) -> None:
        """Delete a blob; one that is not there is no error."""

    def listing(self) -> AsyncIterator[tuple[str, float]]:
        """Every key and when its bytes were last written, in no order and in constant memory.

        What a crash has left half made is listed too, with a suffix, and `delete` takes it away. What is stored or
        deleted meanwhile may be missing or not.
        """

    async def close(self) -> None:
        """Finish pending work and close."""


class StoresUploads(Protocol):
    """What makes an upload last: its bytes, then its record and charge."""

    async def store(
        self, path: str, image: Image, charge: Charge, claim: Claim | None, is_here: Callable[[], bool]
    ) -> Account:
        """Store the file at `path` as the image's blob, then commit the upload; returns the account as it is then.

        Raises what `BlobStore.put` and `Catalog.commit_upload` raise, and Tampered if the file has not the size that
        the record says: then nothing is stored. Raises ClientGone if its sender has left before the commit, and
        OutcomeUnknown if the commit's answer is lost.
        """


@runtime_checkable
class Presigns(Protocol):
    """What some blob stores can do besides: let anybody read a blob from themselves."""

    async def presigned(self, key: str, seconds: int, mime: str, disposition: str, caching: str) -> str:
        """A URL by which anybody may read a blob for so long.

        The store's answer has `mime`, `disposition` and `caching` as Content-Type, Content-Disposition and
        Cache-Control. Whether there is such a blob is not asked.
        """
