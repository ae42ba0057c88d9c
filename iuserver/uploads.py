"""Uploads: from the moment a caller asks to send a picture until it is stored and counted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from string import ascii_letters, digits

from iuserver import forms, policy
from iuserver.errors import Fault
from iuserver.gate import MonthPlaces, Slot, UploadQueue
from iuserver.imaging.pool import Pool
from iuserver.imaging.wire import SLOT
from iuserver.ports import BlobStore, Catalog
from iuserver.records import MB, Caller, Facts, Image, Quota, Source
from iuserver.spool import Spool

BASE62 = digits + ascii_letters
SLUG_CHARACTERS = 8
LARGE = 8 * MB
"""From this size on, the removal of a file takes longer than the event loop may be held up."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An upload that is safe: its record, and the caller's month after it."""

    image: Image
    quota: Quota


@dataclass(frozen=True, slots=True)
class Uploads:
    """The use case and what it works with. `hash_password` works off the loop, `clock` gives unix seconds."""

    catalog: Catalog
    blobs: BlobStore
    imaging: Pool
    queue: UploadQueue
    months: MonthPlaces
    spool_folder: str
    hash_password: Callable[[str], Awaitable[str]]
    clock: Callable[[], float]

    async def begin(self, caller: Caller, declared_size: int | None, source: Source) -> UploadSession:
        """Let a caller send a picture; `declared_size` is the whole request's, where it is known.

        Raises Fault, in this order: quota_exceeded, overloaded, too_large.
        """
        now = self.clock()
        quota = policy.quota_of(caller.account, caller.plan, now)
        free_month = self.months.reserve(caller.account.id, policy.month_of(now), quota, now)
        try:
            slot = self.queue.enter(caller.account.id)
        except Fault:
            free_month()
            raise
        session = UploadSession(self, caller, source, slot, free_month)
        try:
            policy.check_request_size(declared_size or 0, caller.plan)
        except Fault:
            session.close()
            raise
        return session


class UploadSession:
    """One upload: fed with the file's bytes, then finished or given up. It owns its slot, place and spool file."""

    def __init__(
        self, uploads: Uploads, caller: Caller, source: Source, slot: Slot, free_month: Callable[[], None]
    ) -> None:
        self._uploads = uploads
        self._caller = caller
        self._source = source
        self._slot = slot
        self._free_month = free_month
        self._blob, self._slug = _new_names()
        self._spool = Spool(f"{uploads.spool_folder}/{self._blob}.in", memory=SLOT)
        self._target = f"{uploads.spool_folder}/{self._blob}.out"
        self._target_made = False
        self._finishing = False

    def feed(self, chunk: bytes) -> None:
        """Take a portion of the file. Raises Fault: too_large, storage_unavailable."""
        policy.check_size(self._spool.size + len(chunk), self._caller.plan)
        with _storage():
            self._spool.write(chunk)

    async def finish(self, fields: Mapping[str, str], filename: str) -> Stored:
        """Check, clean, store and count the picture. Nothing of it is left behind when this raises Fault."""
        self._finishing = True
        try:
            form = forms.upload(fields, filename)
            now = int(self._uploads.clock())
            expires_at = policy.expires_at(form.expiration, form.expires_at, self._caller.plan, now)
            policy.check_slug(form.custom_slug, self._caller.plan)
            facts = await self._clean()
            image = await self._image(form, facts, expires_at, now)
            await self._uploads.blobs.put(image.blob, self._target)
            return await self._commit(image, own_slug=form.custom_slug is not None)
        finally:
            self._release()

    def close(self) -> None:
        """Give the upload up; safe to call at any time. Once finish() has begun, it alone releases what is held."""
        if not self._finishing:
            self._release()

    async def _clean(self) -> Facts:
        if not self._spool.size:
            raise Fault("bad_body", "The file is empty")
        self._slot.work(self._spool.size)
        with _storage():
            contents = self._spool.contents()
        self._target_made = True
        return await self._uploads.imaging.submit(contents, self._target)

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
            password_hash=await self._uploads.hash_password(form.password) if form.password else None,
            folder=form.folder,
            upload_source=self._source,
            created_at=now,
        )

    async def _commit(self, image: Image, own_slug: bool) -> Stored:
        """Store the record and the charge. The blob is in place by now; it goes again when they are refused."""
        charge = policy.charge_for(self._caller, image.created_at)
        self._free_month()
        try:
            account = await self._uploads.catalog.commit_upload(image, charge)
        except Fault as fault:
            if fault.code == "slug_taken" and not own_slug:
                return await self._commit(replace(image, slug=_new_names()[1]), own_slug)
            if fault.code != "storage_unavailable":  # else the commit may have happened after all
                await self._uploads.blobs.delete(image.blob)
            raise
        return Stored(image, policy.quota_of(account, self._caller.plan, image.created_at))

    def _release(self) -> None:
        self._free_month()
        self._slot.release()
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
