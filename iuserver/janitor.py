"""The janitor: deletes what has expired, removes what crashes have left, and verifies that stores and counts agree.

`sweep` is what the server runs in the background and `iuserver sweep` runs once; `check` is `iuserver fsck`. All work
is done in small batches, so that uploads are never held up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

from iuserver import policy
from iuserver.errors import Fault
from iuserver.library import DELETIONS, Library
from iuserver.ports import BlobStore, WholeCatalog
from iuserver.records import AccountCounts, Image

log = logging.getLogger("iuserver.janitor")

HOUR = 3600
PAUSE = 20.0
"""Seconds between two looks for what is to go: it leaves the disk within a minute."""
PAUSES_A_SWEEP = 180
"""Only so rarely every blob and every account is looked at: what that finds is an hour old anyway."""
GRACE = 0.2
"""Seconds: in a deletion, the bytes outlive the record for less than this."""
BATCH = 500
MOST_FAILED = 1000
"""Images that fail in one step before it is given up until the next pass: then it is not because of them."""


@dataclass(slots=True)
class Report:
    """What a sweep has done: images expired or buried, files removed, accounts repaired, rows purged by kind; and how
    many of its steps, or parts of them, have failed."""

    expired: int = 0
    buried: int = 0
    blobs: int = 0
    spool: int = 0
    counts: int = 0
    settled: int = 0
    ledger: int = 0
    slugs: int = 0
    keys: int = 0
    grants: int = 0
    sessions: int = 0
    links: int = 0
    invites: int = 0
    audit: int = 0
    failed: int = 0

    def __bool__(self) -> bool:
        return any(astuple(self))


@dataclass(slots=True)
class Check:
    """The state of a check. `tell` is called with a line for each difference; `problems` counts those that remain."""

    tell: Callable[[str], None]
    repair: bool
    records: int = 0
    blobs: int = 0
    leftovers: int = 0
    problems: int = 0

    async def difference(self, text: str, fix: Callable[[], Awaitable[object]] | None, done: str = "") -> None:
        """Report a difference, and repair it where that is wanted and possible."""
        if self.repair and fix is not None:
            await fix()
            self.tell(f"{text}: {done}")
        else:
            self.problems += 1
            self.tell(text)


@dataclass(slots=True)
class Janitor:
    """The janitor and what it works with.

    `serving` says whether a server runs and owns the spool, `session_days` for how long a session lives that is not
    used; `observe` is called with the report of each sweep, `note_failure` with the name of a failed step.
    """

    catalog: WholeCatalog
    blobs: BlobStore
    library: Library
    spool_folder: Path
    serving: Callable[[], bool]
    clock: Callable[[], float]
    session_days: int
    observe: Callable[[Report], None] = lambda report: None
    note_failure: Callable[[str], None] = lambda step: None

    async def run_forever(self) -> None:
        """Sweep until cancelled. However long it takes to look at every blob, expired images go meanwhile."""
        await asyncio.gather(self._repeat(self.tidy, 1), self._repeat(self.sweep, PAUSES_A_SWEEP))

    async def _repeat(self, step: Callable[[], Awaitable[Report]], pauses: int) -> None:
        """Repeat a step for ever. Failures are logged and retried the next time."""
        await asyncio.sleep(PAUSE)
        while True:
            try:
                if report := await step():
                    log.info("swept: %s", report)
                    self.observe(report)
            except Exception:
                log.exception("a step of the janitor failed")
            await asyncio.sleep(PAUSE * pauses)

    async def sweep(self) -> Report:
        """Everything, once."""
        report = await self.tidy()
        await self._attempt(report, "blobs", self._delete_orphans(report))
        await self._attempt(report, "counts", self._repair_drifted(report))
        await self._attempt(report, "sessions", self._end_ownerless())
        return report

    async def tidy(self) -> Report:
        """The part of a sweep that costs nothing where there is nothing to do."""
        report, now, before = Report(), int(self.clock()), policy.month_before(self._month())
        await self._attempt(report, "expired", self._delete_expired(report))
        await self._attempt(report, "buried", self._bury_used_up(report))
        await self._attempt(report, "spool", self._empty_spool(report))
        await self._attempt(report, "settled", self._settle())
        await self._attempt(report, "ledger", _all_of(lambda: self.catalog.purge_ledger(before, BATCH)))
        await self._attempt(report, "keys", _all_of(lambda: self.catalog.purge_keys(now, BATCH)))
        await self._attempt(report, "slugs", _all_of(lambda: self.catalog.purge_kept_slugs(now, BATCH)))
        await self._attempt(report, "grants", _all_of(lambda: self.catalog.purge_grants(now, BATCH)))
        await self._purge_sign_ins(report, now)
        return report

    async def _purge_sign_ins(self, report: Report, now: int) -> None:
        unused, kept = now - self.session_days * policy.DAY, now - policy.AUDIT_DAYS * policy.DAY
        oldest = now - policy.SESSION_LIVES * self.session_days * policy.DAY
        await self._attempt(report, "sessions", _all_of(lambda: self.catalog.purge_sessions(oldest, unused, BATCH)))
        await self._attempt(report, "links", _all_of(lambda: self.catalog.purge_links(now, BATCH)))
        await self._attempt(report, "invites", _all_of(lambda: self.catalog.purge_invites(now, BATCH)))
        await self._attempt(report, "audit", _all_of(lambda: self.catalog.purge_audit(kept, BATCH)))

    async def _attempt(self, report: Report, step: str, work: Awaitable[int]) -> bool:
        """Do a step of a pass, or a part of one, and add what it did to the report; whether that was anything.

        What fails is logged and counted, holds up nothing else, and is tried again at the next pass.
        """
        try:
            done = await work
        except Exception as error:
            report.failed += 1
            self.note_failure(step)
            _log_failure(step, error)
            return False
        setattr(report, step, getattr(report, step) + done)
        return done > 0

    async def check(self, tell: Callable[[str], None], repair: bool = False) -> Check:
        """Compare records, bytes, counts and ledger; `tell` gets a line for each difference."""
        check = Check(tell, repair)
        await self._check_spool(check)
        await self._check_settled(check)
        await self._check_records(check)
        await self._check_blobs(check)
        await self._check_counts(check)
        await self._check_sessions(check)
        return check

    # What is looked for, in sweeps and checks alike

    async def _settle(self) -> int:
        return await _all_of(lambda: self.catalog.settle(int(self.clock()) - HOUR, BATCH))

    async def _end_ownerless(self) -> int:
        return await _all_of(lambda: self.catalog.purge_ownerless(BATCH))

    async def _delete_expired(self, report: Report) -> int:
        due = lambda limit: self.catalog.expired(int(self.clock()), limit)  # noqa: E731
        return await self._each(report, "expired", due, self.library.delete_if_there)

    async def _bury_used_up(self, report: Report) -> int:
        due = lambda limit: self.catalog.to_bury(int(self.clock()), limit)  # noqa: E731
        return await self._each(report, "buried", due, self.library.bury)

    async def _each(
        self,
        report: Report,
        step: str,
        due: Callable[[int], Awaitable[list[Image]]],
        work: Callable[[Image], Awaitable[bool]],
    ) -> int:
        """Do something to each image that is due, each by itself: what fails is passed over."""
        passed: set[str] = set()
        while len(passed) < MOST_FAILED:
            images = [image for image in await due(DELETIONS + len(passed)) if image.slug not in passed]
            if not images:
                break
            done = await asyncio.gather(*(self._attempt(report, step, work(image)) for image in images))
            passed.update(image.slug for image, was_done in zip(images, done, strict=True) if not was_done)
        return 0

    async def _empty_spool(self, report: Report) -> int:
        for path in list(self._stale_spool()):
            await self._attempt(report, "spool", _unlinking(path)())
        return 0

    async def _delete_orphans(self, report: Report) -> int:
        # To an empty catalog every blob is an orphan; but then it is more likely that the catalog has been lost.
        if await self.catalog.images_page("", 1):
            async for key in self._orphans():
                await self._attempt(report, "blobs", _deleting(self.blobs, key)())
        return 0

    async def _repair_drifted(self, report: Report) -> int:
        async for counts in self._bent():
            await self._attempt(report, "counts", self._repair_of(counts)())
        return 0

    def _stale_spool(self) -> Iterator[Path]:
        """Abandoned spool files: a running server's own after a day, others after an hour."""
        for path, age in self._spool():
            if age > HOUR and (age > policy.DAY or not self.serving()):
                yield path

    def _spool(self) -> Iterator[tuple[Path, float]]:
        """The files in the spool, with their age."""
        with contextlib.suppress(FileNotFoundError):
            for path in self.spool_folder.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    yield path, self.clock() - path.stat().st_mtime

    def _owned(self) -> set[str]:
        """The blobs of uploads that are on their way: each has its spool file until its record is committed."""
        stale = set(self._stale_spool())
        return {path.stem for path, _ in self._spool() if path not in stale}

    async def _orphans(self, check: Check | None = None) -> AsyncIterator[str]:
        """Blobs without a record that are older than an hour; the younger ones are leftovers."""
        async for batch in self._listed():
            orphans, old = await self._judged(batch)
            if check:
                check.blobs += len(batch)
                check.leftovers += len(orphans) - len(old)
            for key in await self._still_there(old):
                yield key

    async def _judged(self, batch: dict[str, float]) -> tuple[list[str], list[str]]:
        """The blobs of a batch without a record, and those of them that will never get one."""
        orphans = await self._without_record(batch)
        if not orphans:
            return [], []
        # Checked again, in this order: an upload that has left the spool by now has committed, or never will.
        owned = self._owned()
        orphans = await self._without_record(orphans)
        return orphans, [key for key in orphans if self.clock() - batch[key] > HOUR and _blob_of(key) not in owned]

    async def _listed(self) -> AsyncIterator[dict[str, float]]:
        """All blobs, in batches."""
        batch: dict[str, float] = {}
        async for key, modified in self.blobs.listing():
            batch[key] = modified
            if len(batch) == BATCH:
                yield batch
                batch = {}
        yield batch

    async def _without_record(self, keys: Iterable[str]) -> list[str]:
        known = await self.catalog.blobs_known(list(keys))
        return [key for key in keys if key not in known]

    async def _still_there(self, keys: list[str]) -> list[str]:
        """Those that are not being deleted right now: a deletion removes the record first, the bytes a moment later."""
        if not keys:
            return []
        await asyncio.sleep(GRACE)
        return [key for key in keys if await self.blobs.size(key) is not None]

    async def _bent(self) -> AsyncIterator[AccountCounts]:
        """The accounts whose counts are not what their records and the ledger say."""
        after = ""
        while page := await self.catalog.counts(self._month(), after, BATCH):
            for counts in page:
                if counts.drifted:
                    yield counts
            after = page[-1].account_id

    # What a check reports

    async def _check_spool(self, check: Check) -> None:
        for path in list(self._stale_spool()):
            await check.difference(f"spool file {path.name}: nobody's", _unlinking(path), "removed")

    async def _check_settled(self, check: Check) -> None:
        count = await self.catalog.unsettled(int(self.clock()) - HOUR)
        if count:
            await check.difference(f"{count} commits, deletions or burials died half way", self._settle, "settled")

    async def _check_records(self, check: Check) -> None:
        after = ""
        while page := await self.catalog.images_page(after, BATCH):
            for image in page:
                if image.buried_at is None:  # a tombstone has no bytes that could be missing
                    check.records += 1
                    await self._check_record(check, image)
            after = page[-1].slug

    async def _check_record(self, check: Check, image: Image) -> None:
        size = await self.blobs.size(image.blob)
        if size == image.size:
            return
        if size is not None:  # nobody but the operator can say whether a part of the picture is better than nothing
            text = f"image {image.slug}: blob {image.blob} has {size} bytes, the record says {image.size}"
            await check.difference(text, None)
        elif await self.catalog.image(image.slug) == image:  # and it has not been deleted in between
            text = f"image {image.slug}: blob {image.blob} is missing"
            await check.difference(
                text, lambda: self.library.delete_if_there(image), "the record is removed, its bytes given back"
            )
            check.records -= check.repair

    async def _check_blobs(self, check: Check) -> None:
        async for key in self._orphans(check):
            await check.difference(f"blob {key}: has no record", _deleting(self.blobs, key), "removed")
            check.blobs -= check.repair

    async def _check_counts(self, check: Check) -> None:
        async for counts in self._bent():
            await check.difference(_described(counts), self._repair_of(counts), "repaired")

    async def _check_sessions(self, check: Check) -> None:
        count = await self.catalog.ownerless()
        if count:
            text = f"{count} sessions or sign-in links belong to no account"
            await check.difference(text, self._end_ownerless, "removed")

    def _repair_of(self, counts: AccountCounts) -> Callable[[], Awaitable[int]]:
        async def fix() -> int:
            await self.catalog.repair_counts(counts.account_id, self._month())
            return 1

        return fix

    def _month(self) -> str:
        return policy.month_of(self.clock())


async def _all_of(some: Callable[[], Awaitable[int]]) -> int:
    """Do something in batches until nothing is left."""
    total = 0
    while count := await some():
        total += count
    return total


def _blob_of(key: str) -> str:
    """The blob that a listed key belongs to: what is half made has a suffix."""
    return key.partition(".")[0]


def _deleting(blobs: BlobStore, key: str) -> Callable[[], Awaitable[int]]:
    async def delete() -> int:
        await blobs.delete(key)
        return 1

    return delete


def _unlinking(path: Path) -> Callable[[], Awaitable[int]]:
    async def unlink() -> int:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return 1

    return unlink


def _log_failure(step: str, error: Exception) -> None:
    """A backend's failure in a line, with its cause; a bug of ours with its traceback."""
    if isinstance(error, Fault):
        log.warning("a step of the janitor failed: %s: %s (%r)", step, error.message, error.__cause__)
    else:
        log.error("a step of the janitor failed: %s", step, exc_info=error)


def _described(counts: AccountCounts) -> str:
    bytes_text = f"stored bytes {counts.stored_bytes}, by the records {counts.true_stored_bytes}"
    used_text = f"uploads {counts.used}, by the ledger {counts.true_used}"
    folders_text = f"; {counts.misplaced} images too many or too few in its folders" if counts.misplaced else ""
    return f"account {counts.email}: {bytes_text}; {used_text}{folders_text}"
