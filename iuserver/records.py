"""The records: frozen values that every layer passes around. Times are unix seconds, sizes bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Expiration = Literal["1d", "1w", "1mo", "burn", "views", "forever", "custom"]
Source = Literal["api", "mcp", "web"]
Via = Literal["key", "ticket", "session"]
Role = Literal["user", "admin"]
Surface = Literal["api", "mcp", "web"]
"""By which interface a call comes; each has a rate of its own."""
Sort = Literal["newest", "oldest", "name", "largest"]
Show = Literal["all", "expiring", "password", "gone"]
"""Which images a list has: all, those that expire soon, have a password, or have been seen by their last viewer."""

MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """What an account may do; 0 means unlimited everywhere but in `max_file_mb`."""

    name: str
    uploads_per_month: int
    storage_mb: int
    max_file_mb: int
    max_expiration_days: int
    custom_expiration: bool
    custom_slug: bool

    @property
    def storage_bytes(self) -> int:
        return self.storage_mb * MB

    @property
    def max_file_bytes(self) -> int:
        return self.max_file_mb * MB


@dataclass(frozen=True, slots=True)
class Quota:
    """A caller's month: uploads counted so far, and the limit (0 = unlimited)."""

    used: int
    limit: int
    plan: str

    @property
    def unlimited(self) -> bool:
        return self.limit == 0

    @property
    def remaining(self) -> int | None:
        return None if self.unlimited else max(0, self.limit - self.used)


@dataclass(frozen=True, slots=True)
class Account:
    """A row of accounts. `used` counts the uploads of `month` ("2026-11"), which only moves forward: of a later month
    there are none yet, and asking for an earlier one gives the month that has begun since.

    `epoch` is one higher after each new password, after being disabled and after "sign out everywhere": sessions and
    sign-in links of an earlier epoch are void. `key_used_on` is when the day (UTC) began on which the key was last
    used, as it is written once a day at most.
    """

    id: str
    email: str
    plan: str
    key_hash: bytes
    key_last4: str
    created_at: int
    disabled: bool = False
    stored_bytes: int = 0
    month: str = ""
    used: int = 0
    password_hash: str | None = field(default=None, repr=False)
    admin: bool = False
    epoch: int = 0
    key_used_on: int | None = None

    @property
    def role(self) -> Role:
        return "admin" if self.admin else "user"

    def used_in(self, month: str) -> int:
        return self.used if self.month >= month else 0


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller: account, plan, and `via`, the kind of credentials that identified it; its session,
    where it is identified by one."""

    account: Account
    plan: Plan
    via: Via
    session: Session | None = None

    @property
    def admin(self) -> bool:
        return self.account.admin


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request to sign in comes from: the network whose wrong passwords count together, the one that is stored
    and shown (masked), and the browser's name."""

    network: str
    masked: str
    browser: str


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that is signed in: the SHA-256 of its token, whose it is, when it was made and last seen (written once
    an hour at most), the browser's name and its masked network. It ends with its account's `epoch`."""

    hash: bytes
    account_id: str
    epoch: int
    browser: str
    network: str
    created_at: int
    seen_at: int

    @property
    def id(self) -> str:
        return secret_id(self.hash)


@dataclass(frozen=True, slots=True)
class SignInLink:
    """A link that signs in once: the SHA-256 of its token, whose it is, until when. It ends with its account's
    `epoch`."""

    hash: bytes
    account_id: str
    epoch: int
    created_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Invite:
    """Leave to make one account: the SHA-256 of its token, the account's plan, a note of whom it is for, the address of
    the admin who made it, until when."""

    hash: bytes
    plan: str
    note: str
    made_by: str
    created_at: int
    expires_at: int

    @property
    def id(self) -> str:
        return secret_id(self.hash)


def secret_id(hash: bytes) -> str:
    """How the holder of a hashed token may be named: 64 bits of the hash, from which nobody gets to the token."""
    return hash.hex()[:16]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something: an account's address, or OPERATOR at the command line; and from which masked network."""

    name: str
    network: str


OPERATOR = Actor("operator", "-")

AuditAction = Literal[
    "signed_in",
    "signed_in_by_link",
    "signed_up",
    "signed_out_everywhere",
    "wrong_passwords",
    "password_set",
    "key_replaced",
    "account_added",
    "account_removed",
    "account_disabled",
    "account_enabled",
    "plan_set",
    "role_set",
    "link_made",
    "invite_made",
    "invite_revoked",
    "picture_blocked",
    "picture_purged",
    "picture_unblocked",
]


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A line of the audit log: when, who (an address or "operator"), what, whom (an address, an id), more about it
    (a plan, a number), and the masked network. `id` is in the order of time."""

    id: str
    at: int
    actor: str
    action: AuditAction
    subject: str
    detail: str
    network: str


@dataclass(frozen=True, slots=True)
class OwnedImage:
    """An image and the address of the account that it belongs to."""

    image: Image
    email: str


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a caller's bucket says: calls a minute (0 = no limit), calls left, seconds until there are more, or all
    again; and whether this call had one."""

    limit: int
    remaining: int
    reset: int
    taken: bool


@dataclass(frozen=True, slots=True)
class Image:
    """An image's record. `width` and `height` are what a viewer shows, `blob` names its bytes.

    `views` counts the viewers of a `burn` or `views` image, the latest at `viewed_at`. After the last one allowed, its
    bytes are deleted at `let_go_at`. From `buried_at` on the record is a tombstone: nothing of the picture is left.

    `removed_bytes` and `removed_kinds` (words between spaces) tell what the upload had in it and the image has not;
    None where that is not known. `hdr` says that it has more than the standard range of brightness.
    """

    slug: str
    blob: str
    account_id: str
    filename: str
    ext: str
    mime: str
    size: int
    width: int
    height: int
    expiration: Expiration
    expires_at: int | None
    view_limit: int | None
    password_hash: str | None
    folder: str | None
    upload_source: Source
    created_at: int
    views: int = 0
    viewed_at: int | None = None
    let_go_at: int | None = None
    buried_at: int | None = None
    removed_bytes: int | None = None
    removed_kinds: str | None = None
    hdr: bool = False

    @property
    def max_views(self) -> int | None:
        """How many viewers may see it; None: any number."""
        return 1 if self.expiration == "burn" else self.view_limit

    @property
    def used_up(self) -> bool:
        """Whether all the viewers it was meant for have seen it."""
        return self.max_views is not None and self.views >= self.max_views

    @property
    def gated(self) -> bool:
        """Whether a viewer must do or lose something before the bytes are theirs."""
        return self.password_hash is not None or self.expiration in ("burn", "views")

    @property
    def gone(self) -> bool:
        """Whether nobody can see it any more, as its last viewer has: its bytes are deleted, or are about to be."""
        return self.let_go_at is not None or self.buried_at is not None


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a list: what the image before it is sorted by, a time, a size or a search name, and its slug."""

    key: int | str
    slug: str


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Which of its images an account wants to see, and from where on.

    `folder` is a slug, "" for those in no folder, None for all. `name` is a part of the search name. `soon` is until
    when an image must expire to be listed as expiring.
    """

    folder: str | None = None
    limit: int = 50
    offset: int = 0
    sort: Sort = "newest"
    show: Show = "all"
    name: str = ""
    after: Position | None = None
    soon: int = 0


@dataclass(frozen=True, slots=True)
class ImagePage:
    """A page of a list: its images, how many there are in all, and whether others follow."""

    images: list[Image]
    total: int
    more: bool


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who wants to see an image. `client` identifies the viewer, `is_here` whether the image can still reach the
    visitor, `network` whose wrong passwords count together; the rest is what the request brought along."""

    is_here: Callable[[], bool]
    caller: Caller | None = None
    client: str = ""
    network: str = ""
    unlock: str | None = None
    grant: str | None = None


@dataclass(frozen=True, slots=True)
class ViewIntent:
    """How a request wants to see an image: what decides whether somebody really looks. `page` is the share page, in
    place of the bytes; `reveal` a click on its button."""

    head: bool = False
    navigation: bool = False
    robot: bool = False
    prefetch: bool = False
    page: bool = False
    reveal: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to fetch the bytes of an image whose view has been counted: the hash of a random token, until it lapses."""

    hash: bytes
    lapses_at: int


@dataclass(frozen=True, slots=True)
class Block:
    """A picture that nobody may upload: the SHA-256 of its stored bytes, their size where it is known, what the
    operator named, and its perceptual hash, by which pictures like it are refused, too (None: only these bytes)."""

    id: str
    sha256: bytes
    size: int | None
    origin: str
    created_at: int
    likeness: bytes | None = None


@dataclass(frozen=True, slots=True)
class Folder:
    """An account's folder: a name, and a kebab-case slug that is unique within the account."""

    account_id: str
    slug: str
    name: str
    created_at: int


@dataclass(frozen=True, slots=True)
class AccountCounts:
    """An account's counts as they are kept, and as its records and ledger say they should be.

    `misplaced` is by how many images the numbers that are kept of its folders are off; 0 where these cannot be.
    """

    account_id: str
    email: str
    stored_bytes: int
    true_stored_bytes: int
    used: int
    true_used: int
    misplaced: int = 0

    @property
    def drifted(self) -> bool:
        return (self.stored_bytes, self.used, self.misplaced) != (self.true_stored_bytes, self.true_used, 0)


@dataclass(frozen=True, slots=True)
class Charge:
    """What a commit costs an account, and the bounds that it must not cross (0 = unlimited).

    `at` is the time of the upload, `month` the one it counts in, unless a later one has begun for the account. The key
    is checked again by the commit: an upload begun with a key that has since been replaced is refused. One that came
    with a session has None. One that is not `counted` is charged its bytes alone, and has no row in the ledger.
    """

    account_id: str
    key_hash: bytes | None
    at: int
    month: str
    uploads_limit: int
    storage_limit: int
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Stored:
    """An upload that is safe: its record, and the caller's month after it; `replayed` if it was so before."""

    image: Image
    quota: Quota
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """An idempotency key that an upload holds.

    `token` is random and new with each claim, so that one whose lease has lapsed is not taken for its successor.
    `fingerprint` tells two uploads apart; it is known by the time of the commit.
    """

    key: str
    token: str
    fingerprint: bytes = b""


@dataclass(frozen=True, slots=True)
class IdempotentResult:
    """The stored result of an idempotency key: fingerprint and answer of the first upload that used it; None where
    its image is gone, and nothing is known but that the key was used."""

    fingerprint: bytes
    stored: Stored | None


Row = dict[str, Any]
"""All of one thing that a catalog keeps, in the same shape whatever the catalog; a copy is made of rows."""

ROW_KEYS = {
    "secrets": ("name",),
    "accounts": ("id",),
    "images": ("slug",),
    "ledger": ("month", "account_id", "blob"),
    "kept_slugs": ("slug",),
    "idempotency_keys": ("account_id", "key"),
    "blocks": ("id",),
    "sessions": ("hash",),
    "sign_in_links": ("hash",),
    "invites": ("hash",),
    "audit": ("id",),
}
"""The kinds of rows, in the order in which they can be copied, and what each kind is ordered by."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a worker found out about a picture and stored: type, size as browsers show it, bytes written, what was left
    out (how many bytes, and of which kinds), and whether it has more than the standard range of brightness."""

    mime: str
    ext: str
    width: int
    height: int
    frames: int
    orientation: int
    size: int
    removed_bytes: int
    removed_kinds: list[str]
    hdr: bool
