"""Looking at images: whose they are to see, at what price, and their bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from iuserver import policy, signing
from iuserver.errors import ClientGone, Fault
from iuserver.forms import MAX_PASSWORD
from iuserver.gate import AttemptLimiter
from iuserver.policy import State
from iuserver.ports import Blob, BlobStore, Catalog
from iuserver.records import Grant, Image, Visitor


@dataclass(frozen=True, slots=True)
class Begun:
    """The first chunk of some bytes, and the others, still to be read in the same go: by then they may be deleted."""

    first: bytes
    rest: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Opened:
    """An image whose bytes may be sent; whoever has it closes `blob`. `begun` is what has been begun to be read."""

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
class Viewing:
    """The use case and what it works with.

    `secret` signs what visitors are given, `verify` compares an encoded hash and a password of an address off the loop,
    `guesses` counts wrong passwords, `clock` gives unix seconds.
    """

    catalog: Catalog
    blobs: BlobStore
    secret: bytes
    verify: Callable[[str, str, str], Awaitable[bool]]
    attempts: AttemptLimiter
    clock: Callable[[], float]

    async def find(self, slug: str) -> Image:
        """An image that is there for somebody. Raises Fault("not_found") alike for what never was and what is gone."""
        image = await self.catalog.image(slug)
        if image is None or policy.is_expired(image, self.clock()) or image.buried_at is not None:
            raise _not_found()
        return image

    async def state_of(self, image: Image, visitor: Visitor) -> State:
        """What an image is to a visitor."""
        now, caller = self.clock(), visitor.caller
        return policy.state_of(
            image,
            now,
            owner=caller is not None and caller.account.id == image.account_id,
            unlocked=visitor.unlock is not None and signing.is_unlock_token(self.secret, image, visitor.unlock, now),
            granted=visitor.grant is not None
            and await self.catalog.has_grant(image.slug, signing.grant_hash(visitor.grant), int(now)),
        )

    async def unlock(self, image: Image, password: str, address: str) -> str:
        """What shows for an hour that its holder has given the right password.

        Raises Fault: rate_limited (by image and address, and by image), overloaded, wrong_password.
        """
        take_back = self.attempts.begin(image.slug, address)
        try:
            right = await self._is_password(image, password, address)
        except Fault:  # it has not been judged
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
        """Open an image whose bytes cost nothing. Raises Fault: not_found, storage_unavailable."""
        return Opened(image, await self.blobs.open(image.blob), self.seconds_left(image))

    def seconds_left(self, image: Image) -> int | None:
        """For how long an image stays; None: for ever."""
        return None if image.expires_at is None else int(image.expires_at - self.clock())

    async def open_counted(self, image: Image, visitor: Visitor) -> Opened:
        """Open an image at the price of a view.

        Raises Fault: not_found, storage_unavailable, and ClientGone; then nothing is counted.

        The first bytes are read before the view is counted: what cannot be shown is not used up.
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
        """Count a view, and return a grant: the word by which the bytes can be fetched for a minute.

        Raises Fault: not_found, storage_unavailable, and ClientGone; then nothing is counted.
        """
        opened = await self.open(image)
        try:
            await _begin(opened)
        finally:
            opened.blob.close()
        word = signing.new_grant()
        grant = Grant(signing.grant_hash(word), int(self.clock()) + policy.GRANT_SECONDS)
        await self._count(image, visitor, grant)
        return word

    async def _count(self, image: Image, visitor: Visitor, grant: Grant | None) -> Image:
        viewer = signing.viewer_of(self.secret, image, visitor.client)
        if not visitor.is_here():
            raise ClientGone
        counted = await self.catalog.claim_view(image.slug, image.blob, viewer, grant, int(self.clock()))
        if counted is None:
            raise _not_found()
        return counted


async def _begin(opened: Opened) -> Begun:
    """Begin to read what is about to be shown. Raises Fault("storage_unavailable") where not all of it is there."""
    if opened.blob.size != opened.image.size:
        raise Fault("storage_unavailable", "The image's bytes are not complete")
    chunks = opened.blob.read(0, opened.blob.size)
    return Begun(await anext(chunks), chunks)


def _not_found() -> Fault:
    return Fault("not_found", "There is no such image")
