"""The viewing use case: access decisions, passwords, view counting, and opening bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

from iuserver import policy, signing
from iuserver.admission.attempts import AttemptLimiter
from iuserver.errors import ClientGone, Fault, no_such_image
from iuserver.forms import MAX_PASSWORD
from iuserver.policy import Answer, State
from iuserver.ports import Blob, BlobStore, Catalog
from iuserver.records import Grant, Image, ViewIntent, Visitor


@dataclass(frozen=True, slots=True)
class Begun:
    """A read that has started: its first chunk, and an iterator over the rest, which survives a deletion."""

    first: bytes
    rest: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Opened:
    """An image whose bytes may be sent; its holder closes `blob`. `begun` is a read that has already started."""

    image: Image
    blob: Blob
    seconds_left: int | None
    begun: Begun | None = None

    async def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to but not including `stop`, in chunks of constant size; if begun, all of them."""
        if self.begun:
            yield self.begun.first
        async for chunk in self.begun.rest if self.begun else self.blob.read(start, stop):
            yield chunk


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of a view request. `unlock` is a new token if a correct password came with the request."""

    answer: Answer
    visitor: Visitor
    unlock: str | None = None


@dataclass(frozen=True, slots=True)
class Viewing:
    """The use case and what it works with.

    `secret` signs what visitors are given, `verify` compares an encoded hash and a password of an address off the loop,
    `attempts` limits wrong passwords, `clock` gives unix seconds.
    """

    catalog: Catalog
    blobs: BlobStore
    secret: bytes
    verify: Callable[[str, str, str], Awaitable[bool]]
    attempts: AttemptLimiter
    clock: Callable[[], float]

    async def find(self, slug: str) -> Image:
        """An image that exists and has not expired. Raises Fault("not_found"), alike for deleted and unknown slugs."""
        image = await self.catalog.image(slug)
        if image is None or policy.is_expired(image, self.clock()) or image.buried_at is not None:
            raise no_such_image()
        return image

    async def decide(self, image: Image, visitor: Visitor, intent: ViewIntent, password: str | None = None) -> Decision:
        """Decide whether a visitor may see an image, and whether that counts as a view.

        Raises Fault: not_found; with a password where one is asked for, also rate_limited, wrong_password.
        """
        unlock, state = None, await self._state_of(image, visitor)
        if state == "locked" and password is not None:
            unlock = await self.unlock(image, password, visitor.network)
            visitor = replace(visitor, unlock=unlock)
            state = await self._state_of(image, visitor)
        answer = policy.answer_to(state, intent)
        if answer == "nothing":
            raise no_such_image()
        return Decision(answer, visitor, unlock)

    async def _state_of(self, image: Image, visitor: Visitor) -> State:
        now, caller = self.clock(), visitor.caller
        return policy.state_of(
            image,
            now,
            owner=caller is not None and caller.account.id == image.account_id,
            unlocked=visitor.unlock is not None and signing.is_unlock_token(self.secret, image, visitor.unlock, now),
            granted=visitor.grant is not None
            and await self.catalog.has_grant(image.slug, signing.token_hash(visitor.grant), int(now)),
        )

    async def unlock(self, image: Image, password: str, address: str) -> str:
        """Verify a password; returns a token that proves it for an hour.

        Raises Fault: rate_limited (by image and address, and by image), overloaded, wrong_password.
        """
        take_back = self.attempts.begin(image.slug, address)
        try:
            right = await self._is_password(image, password, address)
        except Fault:  # it has not been verified
            take_back()
            raise
        if not right:
            raise Fault("wrong_password", "This is not the password")
        take_back()
        return signing.unlock_token(self.secret, image, int(self.clock()) + policy.UNLOCK_SECONDS)

    async def _is_password(self, image: Image, password: str, address: str) -> bool:
        assert image.password_hash is not None
        return len(password) <= MAX_PASSWORD and await self.verify(image.password_hash, password, address)

    async def open(self, image: Image) -> Opened:
        """Open an image without counting a view. Raises Fault: not_found, storage_unavailable."""
        return Opened(image, await self.blobs.open(image.blob), self.seconds_left(image))

    def seconds_left(self, image: Image) -> int | None:
        """Seconds until an image expires; None: never."""
        return None if image.expires_at is None else int(image.expires_at - self.clock())

    async def open_counted(self, image: Image, visitor: Visitor) -> Opened:
        """Open an image and count a view.

        Raises Fault: not_found, storage_unavailable, and ClientGone; then nothing is counted.

        The first bytes are read before the view is counted, so that a failing store uses no view up.
        """
        opened = await self.open(image)
        try:
            begun = await _begin(opened)
            counted = await self._count(image, visitor, None)
        except BaseException:
            opened.blob.close()
            raise
        return Opened(counted, opened.blob, opened.seconds_left, begun)

    async def reveal(self, image: Image, visitor: Visitor) -> str:
        """Count a view, and return a grant: the token by which the bytes can be fetched for a minute.

        Raises Fault: not_found, storage_unavailable, and ClientGone; then nothing is counted.
        """
        opened = await self.open(image)
        try:
            await _begin(opened)
        finally:
            opened.blob.close()
        token = signing.new_grant()
        grant = Grant(signing.token_hash(token), int(self.clock()) + policy.GRANT_SECONDS)
        await self._count(image, visitor, grant)
        return token

    async def _count(self, image: Image, visitor: Visitor, grant: Grant | None) -> Image:
        viewer = signing.viewer_of(self.secret, image, visitor.client)
        if not visitor.is_here():
            raise ClientGone
        counted = await self.catalog.claim_view(image.slug, image.blob, viewer, grant, int(self.clock()))
        if counted is None:
            raise no_such_image()
        return counted


async def _begin(opened: Opened) -> Begun:
    """Start to read a blob. Raises Fault("storage_unavailable") if its size is not that of the record."""
    if opened.blob.size != opened.image.size:
        raise Fault("storage_unavailable", "The image's bytes are not complete")
    chunks = opened.blob.read(0, opened.blob.size)
    return Begun(await anext(chunks), chunks)
