"""The editing use case: changes an account's image, and deletes or moves many at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace

from iuserver import forms, policy
from iuserver.errors import Fault, no_such_image
from iuserver.library import Library
from iuserver.records import Caller, Image, Plan

TRIES = 10
"""So often a change is made anew because somebody else has changed the image meanwhile."""
SLICE = 250
"""Images of one commit: some 20 ms of the writer's time."""
DELETERS = 8
"""Blobs that are deleted at the same time."""


@dataclass(frozen=True, slots=True)
class Editing:
    """The use case and what it works with. `hash_password` (a password, an account) works off the loop."""

    library: Library
    hash_password: Callable[[str, str], Awaitable[str]]

    async def change(self, slug: str, caller: Caller, form: forms.ChangeForm) -> Image:
        """Change an image of the caller's; returns it as it is then.

        Raises Fault: not_found, as `Library.get` does; bad_field, plan_required, as an upload does; overloaded.
        """
        image = await self.library.get(slug, caller)
        _check_changeable(image, form)
        hashed = await self.hash_password(form.password, caller.account.id) if form.password else None
        for _ in range(TRIES):
            after = _changed(image, form, caller.plan, int(self.library.clock()), hashed)
            if await self.library.catalog.change_image(image, after):
                return after
            image = await self.library.get(slug, caller)
            _check_changeable(image, form)
        raise Fault("storage_unavailable", "The image is being changed by somebody else; try again")

    async def bulk(self, caller: Caller, form: forms.BulkForm) -> dict[str, Fault | None]:
        """Delete or move images of the caller's; what became of each: None, or why it was not done.

        It is done slice by slice, and goes on where a store is away. Raises Fault: bad_field (no such folder),
        read_only.
        """
        outcomes: dict[str, Fault | None] = dict.fromkeys(form.slugs, no_such_image())
        possible = [slug for slug in form.slugs if forms.is_slug(slug)]
        do = self._delete if form.action == "delete" else self._move
        for start in range(0, len(possible), SLICE):
            part = possible[start : start + SLICE]
            try:
                outcomes |= dict.fromkeys(await do(caller, part, form), None)
            except Fault as fault:
                if fault.code != "storage_unavailable":
                    raise
                outcomes |= dict.fromkeys(part, fault)
        return outcomes

    async def _delete(self, caller: Caller, slugs: list[str], form: forms.BulkForm) -> list[str]:
        """Delete images, their records first; returns the slugs of those that were there."""
        now = int(self.library.clock())
        until = now + policy.SLUG_DAYS * policy.DAY
        deleted = await self.library.catalog.delete_images(caller.account.id, slugs, now, until)
        blobs = iter([blob for _, blob in deleted])
        await asyncio.gather(*(self._delete_blobs(blobs) for _ in range(DELETERS)))
        return [slug for slug, _ in deleted]

    async def _delete_blobs(self, blobs: Iterator[str]) -> None:
        for blob in blobs:
            with contextlib.suppress(Fault):  # the janitor finds what no record knows
                await self.library.delete_bytes(blob)

    async def _move(self, caller: Caller, slugs: list[str], form: forms.BulkForm) -> set[str]:
        now = int(self.library.clock())
        return await self.library.catalog.move_images(caller.account.id, slugs, form.folder, now)


def _check_changeable(image: Image, form: forms.ChangeForm) -> None:
    """Raises Fault("bad_field") for a change that comes too late for this image."""
    if image.gone and form.fields - {"folder"}:
        raise Fault("bad_field", "This image has been seen by its last viewer: only its folder can change")
    if image.views and "expiration" in form.fields:
        raise Fault("bad_field", "expiration cannot change any more: this image has been viewed")


def _changed(image: Image, form: forms.ChangeForm, plan: Plan, now: int, password_hash: str | None) -> Image:
    """The record as the form wants it. Raises Fault: plan_required, bad_field."""
    if "filename" in form.fields:
        image = replace(image, filename=forms.safe_filename(form.filename, image.ext))
    if "folder" in form.fields:
        image = replace(image, folder=form.folder)
    if "password" in form.fields:
        image = replace(image, password_hash=password_hash)
    if "expiration" in form.fields:
        until = policy.expires_at(form.expiration, form.expires_at, plan, now)
        image = replace(image, expiration=form.expiration, expires_at=until, view_limit=form.view_limit)
    return image
