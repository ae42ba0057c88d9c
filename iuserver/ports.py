"""The ports: interfaces of the catalog (records by slug, accounts and who is signed in) and the blob store (bytes by
key).

A catalog implements several protocols, one for each subject; a use case asks for those that it needs.

docs/catalog.md describes each atomic step on SQLite and on MongoDB.
A backend that is away or full raises Fault("storage_unavailable") from any method; no vendor's error leaks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol, runtime_checkable

from iuserver.records import (
    Account,
    AccountCounts,
    AuditRow,
    Block,
    Charge,
    Claim,
    Folder,
    Grant,
    IdempotentResult,
    Image,
    ImagePage,
    Invite,
    ListQuery,
    OwnedImage,
    Row,
    Session,
    SignInLink,
)

OF_THUMBNAILS = ".thumbnail"
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
        """Replace an account's key; the old one is dead when this returns. Raises Fault("not_found").

        `key_used_on` is None again.
        """

    async def set_disabled(self, email: str, disabled: bool) -> Account:
        """Disable or enable an account, whose next epoch begins. Raises Fault("not_found")."""

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
        """Delete an account that has no images any more, with its folders, ledger, sessions and sign-in links.

        Raises Fault("not_found").
        """

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
        """How many commits, deletions, burials and moves began before a time and died half way."""

    async def settle(self, before: int, limit: int) -> int:
        """Finish up to `limit` of each of these, or roll them back; returns how many there were."""

    async def purge_ledger(self, before_month: str, limit: int) -> int:
        """Delete up to `limit` ledger rows of months before this one; returns how many there were."""

    async def purge_kept_slugs(self, now: int, limit: int) -> int:
        """Free up to `limit` slugs that were reserved until now; returns how many there were."""

    async def add_block(self, block: Block) -> None:
        """Put a picture on the blocklist; an existing entry (the same id) stays as it is, but for a perceptual hash
        that it has not had."""

    async def remove_block(self, id: str) -> None:
        """Take a picture off the blocklist. Raises Fault("not_found")."""

    async def blocks(self) -> list[Block]:
        """The blocklist, oldest first."""

    async def has_blocks(self) -> bool:
        """Whether there is anything on the blocklist."""

    async def is_blocked(self, sha256: bytes) -> bool:
        """Whether the picture whose stored bytes have this SHA-256 is on the blocklist."""

    async def has_likenesses(self) -> bool:
        """Whether any entry of the blocklist has a perceptual hash."""

    async def is_like_blocked(self, likeness: bytes, distance: int) -> bool:
        """Whether an entry's perceptual hash differs from this one in at most `distance` bits
        (`likeness.MAX_DISTANCE` at most)."""

    async def close(self) -> None:
        """Finish pending work and close."""


class Credentials(Protocol):
    """What of an account is for signing in."""

    async def account(self, id: str) -> Account | None:
        """The account with this id, disabled or not."""

    async def account_by_email(self, email: str) -> Account | None:
        """The account with this address, disabled or not."""

    async def set_password(self, id: str, password_hash: str) -> Account:
        """Give an account a password, and begin its next epoch, as one. Raises Fault("not_found")."""

    async def set_admin(self, email: str, admin: bool) -> Account:
        """Make an account an admin's, or one of a user. Raises Fault("not_found")."""

    async def next_epoch(self, id: str) -> Account:
        """Begin an account's next epoch: all its sessions and sign-in links are void. Raises Fault("not_found")."""

    async def note_key_uses(self, key_hashes: list[bytes], day: int) -> None:
        """Store that these keys were used on the day that began at `day`."""


class Sessions(Protocol):
    """Who is signed in, and the links to sign in with. Whether one is still valid, `policy` says."""

    async def add_session(self, session: Session, most: int) -> None:
        """Store a session. Of its account's, the `most` that were seen last are kept."""

    async def session(self, hash: bytes) -> tuple[Session, Account] | None:
        """The session with this hash and its account, by one read."""

    async def sessions_of(self, account_id: str) -> list[Session]:
        """An account's sessions, the last seen first."""

    async def last_seen(self, account_ids: list[str]) -> dict[str, int]:
        """When a session of each account was last seen; accounts without one are missing."""

    async def note_sessions_seen(self, hashes: list[bytes], now: int) -> None:
        """Store that these sessions were seen now."""

    async def end_session(self, hash: bytes) -> None:
        """Delete a session; one that there is not is no error."""

    async def end_sessions(self, account_id: str) -> None:
        """Delete an account's sessions and sign-in links."""

    async def purge_sessions(self, created_before: int, seen_before: int, limit: int) -> int:
        """Delete up to `limit` sessions made, or last seen, before these times; returns how many."""

    async def add_link(self, link: SignInLink) -> None:
        """Store a sign-in link."""

    async def link(self, hash: bytes) -> tuple[SignInLink, Account] | None:
        """The sign-in link with this hash and its account."""

    async def take_link(self, hash: bytes) -> bool:
        """Delete a sign-in link; whether it was there: of two that take it at once, one gets it."""

    async def purge_links(self, now: int, limit: int) -> int:
        """Delete up to `limit` sign-in links that have expired; returns how many there were."""

    async def ownerless(self) -> int:
        """How many sessions and sign-in links have no account."""

    async def purge_ownerless(self, limit: int) -> int:
        """Delete up to `limit` of each; returns how many there were."""


class Invites(Protocol):
    """Leave to make accounts."""

    async def add_invite(self, invite: Invite) -> None:
        """Store an invite."""

    async def invite(self, hash: bytes) -> Invite | None:
        """The invite with this hash, expired or not."""

    async def invites(self) -> list[Invite]:
        """All invites, the newest first."""

    async def take_invite(self, hash: bytes) -> bool:
        """Delete an invite; whether it was there: of two that take it at once, one gets it."""

    async def purge_invites(self, now: int, limit: int) -> int:
        """Delete up to `limit` invites that have expired; returns how many there were."""


class Audit(Protocol):
    """The audit log: rows are added, read and purged, never changed."""

    async def add_audit(self, row: AuditRow) -> None:
        """Store a row."""

    async def audit_page(self, before: str | None, limit: int) -> list[AuditRow]:
        """The first `limit` rows before an id (None: from the newest on), the newest first."""

    async def purge_audit(self, before: int, limit: int) -> int:
        """Delete up to `limit` rows from before a time; returns how many there were."""


class Overview(Protocol):
    """What an operator sees of all accounts. Nothing here need be quick: a click of an admin asks for it."""

    async def accounts_page(self, text: str, after: str, limit: int) -> list[Account]:
        """The first `limit` accounts behind an address whose address has `text` in it, ordered by address.

        Letters of ASCII count without case, in both and in the order.
        """

    async def newest_images(self, before: tuple[int, str] | None, limit: int) -> list[OwnedImage]:
        """The newest `limit` images of all accounts before a time and slug, the newest first, without tombstones."""

    async def all_stored_bytes(self) -> int:
        """The stored bytes of all accounts."""


class WholeCatalog(Catalog, Credentials, Sessions, Invites, Audit, Overview, Protocol):
    """All that a catalog keeps: what a backend implements and is opened as."""


class Copyable(WholeCatalog, Protocol):
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


def thumbnail_key(blob: str) -> str:
    """The key of the thumbnail of a stored image, which is a blob beside the image's own."""
    return blob + OF_THUMBNAILS


def thumbnailed(key: str) -> str | None:
    """The blob whose thumbnail has this key; None where it is no thumbnail's."""
    return key.removesuffix(OF_THUMBNAILS) if key.endswith(OF_THUMBNAILS) else None


class Blob(Protocol):
    """Bytes that were opened for reading; they stay readable when the blob is deleted meanwhile."""

    size: int

    def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to but not including `stop`, in chunks of constant size."""

    def close(self) -> None:
        """Release the blob; safe to call twice."""


class BlobStore(Protocol):
    """Immutable bytes by key. Keys are ours, never a client's: lower-case hex, and thumbnails' have a suffix."""

    async def put(self, key: str, path: str) -> int:
        """Store the file at `path` as the blob `key`; when this returns, its bytes and its name survive a crash.

        Returns how many bytes the blob has. The file at `path` must not be written to afterwards; the blob may be the
        same file under another name. A key is never overwritten. Raises Fault("storage_unavailable"), of which Tampered
        where somebody still has the file open for writing; "not_found" where the blob was deleted while it was put.
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


@runtime_checkable
class LocalFiles(Protocol):
    """What some blob stores can do besides: let another program of this machine read a blob's file."""

    def place(self, key: str) -> str:
        """The path of a blob's file below the store's folder."""


@runtime_checkable
class Links(Protocol):
    """What some blob stores can do besides: share a blob's file with a backup."""

    async def link(self, key: str, path: str) -> bool:
        """Give a blob's file this name, too, which is new; False where the file system does not allow it.

        Raises Fault("not_found").
        """


@runtime_checkable
class Snapshots(Catalog, Protocol):
    """What some catalogs can do besides: copy themselves while they are in use."""

    async def snapshot(self, path: str) -> None:
        """Write all records, as of one moment after the call, to a new file that can be opened as a catalog."""
