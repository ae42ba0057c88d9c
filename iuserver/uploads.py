"""The upload use case: admission, receiving, cleaning, storing, committing."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, replace
from string import ascii_letters, digits
from typing import Any

from iuserver import forms, policy
from iuserver.admission.queue import Slot, UploadQueue
from iuserver.admission.quota import QuotaReservations
from iuserver.errors import ClientGone, Fault, OutcomeUnknown, Tampered
from iuserver.imaging.pool import Pool
from iuserver.imaging.wire import SHARED_BUFFER_BYTES
from iuserver.metrics import Metrics
from iuserver.policy import LEASE_SECONDS
from iuserver.ports import Catalog, StoresUploads
from iuserver.records import MB, Caller, Claim, Facts, Image, Plan, Source, Stored
from iuserver.spool import Spool

BASE62 = digits + ascii_letters
SLUG_CHARACTERS = 8
LARGE = 8 * MB
"""From this size on, the removal of a file takes longer than the event loop may be held up."""
RENEW_SECONDS = 30
"""So often the lease of an idempotency key is renewed, from its claim to the commit."""
HASH_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Uploads:
    """The use case and what it works with.

    `hash_password` and `verify_password` (an encoded hash, a password) work off the loop for an account,
    `check_blocked` gets the path of a clean picture and raises Fault("blocked"), `clock` gives unix seconds.
    """

    catalog: Catalog
    store: StoresUploads
    imaging: Pool
    queue: UploadQueue
    months: QuotaReservations
    spool_folder: str
    hash_password: Callable[[str, str], Awaitable[str]]
    verify_password: Callable[[str, str, str], Awaitable[bool]]
    check_blocked: Callable[[str], Awaitable[None]]
    metrics: Metrics
    clock: Callable[[], float]
    read_only: bool = False

    def acquire_read(self, account_id: str) -> Awaitable[None] | None:
        """Backpressure: what to await before the next chunk of an account's body is read (None: nothing); "" stands
        for no account."""
        return self.queue.acquire_read(account_id)

    async def begin(
        self, caller: Caller, declared_size: int | None, source: Source, repeat_key: str | None = None
    ) -> UploadSession:
        """Let a caller send a picture; `declared_size` is the whole request's, where it is known.

        `repeat_key` is the idempotency key: an upload that has been stored with it is answered again and needs
        no quota. Raises Fault, in this order: read_only, in_progress, idempotency_conflict (the key was used
        for an image that is gone), quota_exceeded, overloaded, too_large.
        """
        if self.read_only:
            raise policy.read_only()
        session = UploadSession(self, caller, source)
        try:
            await session.admit(repeat_key)
            await session.take_slot()
            policy.check_request_size(declared_size or 0, caller.plan)
        except BaseException:  # a bug, too, gives back what was taken
            session.close()
            raise
        return session

    async def receive(self, caller: Caller, source: Source) -> UploadSession:
        """Let a caller send a picture whose idempotency key comes only behind it: `admit` must follow, then `finish`.

        It passes the gates of `begin` in the same order. Where the month is used up it goes on, as a repeat needs no
        place in it; `admit` refuses what is none. Raises Fault: read_only, overloaded.
        """
        if self.read_only:
            raise policy.read_only()
        session = UploadSession(self, caller, source)
        try:
            session.reserve_quota(required=False)
            await session.take_slot()
        except BaseException:
            session.close()
            raise
        return session


class UploadSession:
    """One upload: fed with the file's bytes, then finished or closed. It owns its slot, reservation and spool files."""

    def __init__(self, uploads: Uploads, caller: Caller, source: Source) -> None:
        self._uploads = uploads
        self._caller = caller
        self._source = source
        self._slot: Slot | None = None
        self._release_quota: Callable[[], None] | None = None
        self._claim: Claim | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._first: tuple[bytes, Stored] | None = None
        self._blob, self._slug = _new_names()
        self._spool = Spool(f"{uploads.spool_folder}/{self._blob}.in", memory=SHARED_BUFFER_BYTES)
        self._target = f"{uploads.spool_folder}/{self._blob}.out"
        self._target_made = False
        self._finishing = False
        self._stage_began = time.monotonic()

    # Beginning: what is taken here is given back by _release, however far it came.

    async def admit(self, repeat_key: str | None) -> None:
        """Hold the idempotency key, if there is one, and reserve quota. Raises Fault: in_progress,
        idempotency_conflict, quota_exceeded."""
        if repeat_key:
            await self.claim(repeat_key)
        self.reserve_quota()

    @property
    def repeats(self) -> bool:
        """Whether its idempotency key stands for an upload already."""
        return self._first is not None

    async def claim(self, key: str) -> None:
        """Hold an idempotency key until the commit, or find out what it stands for.

        Raises Fault: in_progress, idempotency_conflict where all that is known is that it was used.
        """
        claim, now = new_claim(key), int(self._uploads.clock())
        earlier = await self._uploads.catalog.claim_key(self._caller.account.id, claim, now, now + LEASE_SECONDS)
        if earlier is None:
            self._claim = claim
            self._renewing = asyncio.create_task(self._renew(claim))
        elif earlier.stored is None:
            raise Fault("idempotency_conflict", "This Idempotency-Key was used for an image that is gone")
        else:
            self._first = earlier.fingerprint, earlier.stored

    async def _renew(self, claim: Claim) -> None:
        """Hold a claim for as long as the upload takes. Where that fails, the commit checks whether it still held."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            until = int(self._uploads.clock()) + LEASE_SECONDS
            with contextlib.suppress(Fault):
                await self._uploads.catalog.renew_key(self._caller.account.id, claim, until)

    def _take_claim(self) -> Claim | None:
        """The claim, which is not this upload's to renew or to free any more."""
        claim, self._claim = self._claim, None
        if self._renewing:
            self._renewing.cancel()
            self._renewing = None
        return claim

    def reserve_quota(self, required: bool = True) -> None:
        """Reserve a place in the month, unless it is reserved, or this repeats what has been counted.

        Raises Fault("quota_exceeded") where one is `required`.
        """
        if self._first or self._release_quota:
            return
        account, now = self._caller.account, self._uploads.clock()
        quota = policy.quota_of(account, self._caller.plan, now)
        try:
            self._release_quota = self._uploads.months.reserve(account.id, policy.month_of(now), quota, now)
        except Fault:
            if required:
                raise

    async def take_slot(self) -> None:
        """Wait for a slot, unless this repeats an upload and needs none. Raises Fault("overloaded"), at once where no
        worker would take the picture."""
        if self._first:
            return
        if not self._uploads.imaging.healthy:
            raise policy.overloaded()
        self._slot = await self._uploads.queue.enter(self._caller.account.id)

    # Sending.

    def feed(self, chunk: bytes) -> None:
        """Take a chunk of the file. Raises Fault: too_large, storage_unavailable."""
        policy.check_size(self._spool.size + len(chunk), self._caller.plan)
        with _storage():
            self._spool.write(chunk)

    async def finish(self, fields: Mapping[str, str], filename: str, is_here: Callable[[], bool]) -> Stored:
        """Check, clean, store and count the picture. `is_here` says whether its sender can still be answered.

        Nothing of it is left behind when this raises Fault or ClientGone.
        """
        self._finishing = True
        self._end_stage("receive")
        try:
            fingerprint = await self._fingerprint(fields, filename)
            if self._first:
                return await self._replay(*self._first, fingerprint, fields.get("password", ""))
            now = int(self._uploads.clock())
            form, expires_at = terms(self._caller.plan, fields, filename, now)
            facts = await self._clean()
            await self._uploads.check_blocked(self._target)
            image = await self._image(form, facts, expires_at, now)
            self._end_stage("work")
            stored = await self._store(image, form.custom_slug is not None, fingerprint, is_here)
            self._end_stage("store")
            self._uploads.metrics.uploaded(self._spool.size, image.size)
            return stored
        except (Fault, ClientGone) as error:
            if isinstance(error, Tampered):
                self._uploads.imaging.replace_all()
            await self._free_claim()
            raise
        finally:
            self._release()

    def _end_stage(self, name: str) -> None:
        now = time.monotonic()
        self._uploads.metrics.stage(name, now - self._stage_began)
        self._stage_began = now

    async def _replay(self, fingerprint: bytes, stored: Stored, repeated: bytes, password: str) -> Stored:
        """The first answer again, if this is the same upload again."""
        if fingerprint != repeated or not await self._is_password(stored.image.password_hash, password):
            raise Fault("idempotency_conflict", "This Idempotency-Key was used for another upload")
        return stored

    async def _is_password(self, encoded: str | None, password: str) -> bool:
        """Whether this is the password of a hash, or there is neither."""
        if encoded is None or not password or len(password) > forms.MAX_PASSWORD:
            return encoded is None and not password
        return await self._uploads.verify_password(encoded, password, self._caller.account.id)

    async def _fingerprint(self, fields: Mapping[str, str], filename: str) -> bytes:
        """What tells two uploads apart: the file's bytes as they came, its name, and every field that counts but the
        password, which a fast hash would lay open to guessing."""
        if not (self._claim or self._first):
            return b""
        named = [name for name in forms.UPLOAD_FIELDS if name != "password" and fields.get(name)]
        words = [filename, *(f"{name}={fields[name]}" for name in named)]
        with _storage():
            return await asyncio.get_running_loop().run_in_executor(None, _sha256, self._spool.contents(), words)

    def close(self) -> None:
        """Give the upload up; safe to call at any time. Once finish() has begun, it alone releases what is held."""
        if not self._finishing:
            self._release()

    async def _clean(self) -> Facts:
        if not self._spool.size:
            raise Fault("bad_body", "The file is empty")
        assert self._slot
        await self._slot.begin_work(self._spool.size)
        try:
            with _storage():
                contents = self._spool.contents()
            self._target_made = True
            return await self._uploads.imaging.submit(contents, self._target)
        finally:
            self._slot.end_work()

    async def _image(self, form: forms.UploadForm, facts: Facts, expires_at: int | None, now: int) -> Image:
        return Image(
            slug=form.custom_slug or self._slug,
            blob=self._blob,
            account_id=self._caller.account.id,
            filename=forms.safe_filename(form.filename, facts.ext),
            ext=facts.ext,
            mime=facts.mime,
            size=facts.size,
            width=facts.width,
            height=facts.height,
            expiration=form.expiration,
            expires_at=expires_at,
            view_limit=form.view_limit,
            password_hash=await self._password_hash(form.password) if form.password else None,
            folder=form.folder,
            upload_source=self._source,
            created_at=now,
            removed_bytes=facts.removed_bytes,
            removed_kinds=" ".join(facts.removed_kinds),
        )

    async def _password_hash(self, password: str) -> str:
        return await self._uploads.hash_password(password, self._caller.account.id)

    async def _store(self, image: Image, own_slug: bool, fingerprint: bytes, is_here: Callable[[], bool]) -> Stored:
        """Store bytes, record and charge."""
        assert self._release_quota
        self._release_quota()
        charge = policy.charge_for(self._caller, image.created_at)
        claim = replace(self._claim, fingerprint=fingerprint) if self._claim else None
        try:
            account = await self._uploads.store.store(self._target, image, charge, claim, is_here)
        except OutcomeUnknown:
            self._take_claim()  # it may have been committed: the janitor finds out
            raise
        except Fault as fault:
            if fault.code == "slug_taken" and not own_slug:
                return await self._store(replace(image, slug=_new_names()[1]), own_slug, fingerprint, is_here)
            raise
        self._take_claim()
        return Stored(image, policy.quota_of(account, self._caller.plan, image.created_at))

    async def _free_claim(self) -> None:
        """Before the answer: who repeats a failed upload at once finds its key free."""
        claim = self._take_claim()
        if claim:
            with contextlib.suppress(Fault):  # it lapses by itself
                await self._uploads.catalog.free_key(self._caller.account.id, claim)

    def _release(self) -> None:
        if self._release_quota:
            self._release_quota()
        if self._slot:
            self._slot.release()
        if claim := self._take_claim():
            _in_background(self._uploads.catalog.free_key(self._caller.account.id, claim))
        if self._spool.size < LARGE:
            self._remove_files()
        else:
            asyncio.get_running_loop().run_in_executor(None, self._remove_files)

    def _remove_files(self) -> None:
        with contextlib.suppress(OSError):
            self._spool.discard()
            if self._target_made:
                self._target_made = False
                os.unlink(self._target)


def new_claim(key: str) -> Claim:
    """A claim on an idempotency key, which nobody else's can be taken for."""
    return Claim(key, secrets.token_hex(16))


def terms(plan: Plan, fields: Mapping[str, str], filename: str, now: int) -> tuple[forms.UploadForm, int | None]:
    """What is to become of a picture that is uploaded now, and when it goes. Raises Fault: bad_field, plan_required."""
    form = forms.upload(fields, filename)
    expires_at = policy.expires_at(form.expiration, form.expires_at, plan, now)
    policy.check_slug(form.custom_slug, plan)
    return form, expires_at


_background: set[asyncio.Task[None]] = set()


def _in_background(work: Coroutine[Any, Any, None]) -> None:
    """Have something done that nobody waits for. A claim that cannot be freed lapses by itself."""

    async def attempt() -> None:
        with contextlib.suppress(Fault):
            await work

    task = asyncio.get_running_loop().create_task(attempt())
    _background.add(task)
    task.add_done_callback(_background.discard)


def _sha256(contents: bytes | str, words: list[str]) -> bytes:
    """The hash of some words and of a file's bytes, in memory or at a path."""
    digest = hashlib.sha256()
    for word in map(str.encode, words):
        digest.update(len(word).to_bytes(4, "big") + word)
    if isinstance(contents, bytes):
        digest.update(contents)
    else:
        with open(contents, "rb") as file:
            while chunk := file.read(HASH_CHUNK):
                digest.update(chunk)
    return digest.digest()


@contextlib.contextmanager
def _storage() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Fault("storage_unavailable", "The server cannot store the file at the moment") from error


def _new_names() -> tuple[str, str]:
    """A random blob key (32 hex digits) and a random slug (8 base-62 characters, 47 bits), at one call for randomness.

    The slug is what 64 bits leave by 62 to the eighth: no slug is likelier than another by more than 1 in 80,000.
    """
    random = secrets.token_bytes(24)
    number, slug = int.from_bytes(random[16:], "big"), ""
    for _ in range(SLUG_CHARACTERS):
        number, digit = divmod(number, len(BASE62))
        slug += BASE62[digit]
    return random[:16].hex(), slug
