"""The rules: access, quotas, expiry, limits. Pure functions of records and the time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from iuserver.errors import Fault
from iuserver.records import (
    Account,
    Allowance,
    Caller,
    Charge,
    Expiration,
    Image,
    Plan,
    Quota,
    Session,
    SignInLink,
    Source,
    ViewIntent,
)

DAY = 86400
DAYS = {"1d": 1, "1w": 7, "1mo": 30}
ENVELOPE = 64 * 1024
"""Bytes that a request may have beyond its file: boundaries, headers, fields."""
RETRY_SECONDS = 2
READ_ONLY_SECONDS = 60
"""Until a client may ask again: who copies a catalog takes minutes."""
HELD_SECONDS = 10
"""After so long an upload that holds a month's last reservation has ended or failed."""
SLUG_DAYS = 30
"""For so long the slug of a deleted image names nothing else."""
VIEWS_DAYS = 30
"""An image that lives by its viewers lives no longer than this, on every plan."""
TOMBSTONE_DAYS = 30
"""For so long, at most, an owner sees that an image has been seen by all it was meant for."""
GRANT_SECONDS = 60
UNLOCK_SECONDS = 3600
SOON_DAYS = 7
"""What expires within so long is listed as expiring."""
LEASE_SECONDS = 120
"""For so long an idempotency key is held without being renewed."""

AUDIT_DAYS = 365
"""For so long a row of the audit log is kept."""
SESSION_LIVES = 3
"""A session lives at most so many times as long as one that is not used."""
LINK_SECONDS = DAY
"""A one-time sign-in link is good for so long."""
INVITE_SECONDS = 7 * DAY

State = Literal["gone", "locked", "sealed", "open"]
"""What an image is to a visitor: not there, behind its password, visible for one of few views, or open."""
Answer = Literal["nothing", "ask", "page", "offer", "describe", "refuse", "count", "send"]
"""What becomes of a request for a picture: 404, 401, a redirect to the share page, its Reveal button, headers alone,
403, the picture in exchange for a view, the picture."""


def month_of(now: float) -> str:
    """The UTC calendar month of a time, as in "2026-11"."""
    return _month_of_day(int(now // DAY))


@lru_cache(maxsize=8)
def _month_of_day(day: int) -> str:
    return datetime.fromtimestamp(day * DAY, UTC).strftime("%Y-%m")


def charged_month(account: Account, month: str) -> str:
    """The month that an upload of a month counts in: months only move forward, so one that is late, or comes from a
    clock that is behind, counts in the month that has begun for the account."""
    return max(account.month, month)


def month_start(month: str) -> int:
    """When a calendar month begins."""
    return int(datetime(int(month[:4]), int(month[5:]), 1, tzinfo=UTC).timestamp())


def month_before(month: str) -> str:
    """The calendar month before one."""
    year, number = int(month[:4]), int(month[5:])
    return f"{year - 1}-12" if number == 1 else f"{year}-{number - 1:02}"


def month_end(now: float) -> int:
    """When the month of a time ends and counts start again: 00:00 UTC on the first of the next."""
    start = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    year, month = (start.year + 1, 1) if start.month == 12 else (start.year, start.month + 1)
    return int(start.replace(year=year, month=month).timestamp())


def quota_of(account: Account, plan: Plan, now: float) -> Quota:
    """An account's month."""
    return Quota(account.used_in(month_of(now)), plan.uploads_per_month, plan.name)


def charge_for(caller: Caller, now: float) -> Charge:
    """What one more upload costs a caller, and where it must stop."""
    account, plan = caller.account, caller.plan
    return Charge(
        account_id=account.id,
        key_hash=None if caller.via == "session" else account.key_hash,
        at=int(now),
        month=month_of(now),
        uploads_limit=plan.uploads_per_month,
        storage_limit=plan.storage_bytes,
        counted=is_counted(caller),
    )


def source_of(caller: Caller, surface: Source) -> Source:
    """What an upload is said to come from: our own pages, or the surface that a key was sent to."""
    return "web" if caller.via == "session" else surface


def is_counted(caller: Caller) -> bool:
    """Whether a caller's uploads count in the month: what is uploaded on our own pages does not."""
    return caller.via != "session"


def charged(account: Account | None, charge: Charge, size: int) -> Account:
    """The account after an upload of `size` stored bytes.

    Raises Fault: invalid_key (no such account, disabled, or another key by now), quota_exceeded,
    storage_quota_exceeded.
    """
    if account is None or account.disabled or charge.key_hash not in (None, account.key_hash):
        raise Fault("invalid_key", "Invalid API key")
    month = charged_month(account, charge.month)
    quota = Quota(account.used_in(month), charge.uploads_limit, account.plan)
    if charge.counted:
        check_month(quota, max(charge.at, month_start(month)))
    stored = account.stored_bytes + size
    if charge.storage_limit and stored > charge.storage_limit:
        raise Fault("storage_quota_exceeded", "Storage quota exceeded")
    return replace(account, month=month, used=quota.used + charge.counted, stored_bytes=stored)


def day_start(now: float) -> int:
    """When the UTC day of a time began."""
    return int(now // DAY * DAY)


def audit_id(milliseconds: int, random: str) -> str:
    """The id of a row of the audit log, in the order of time; without `random`, one before all of its time."""
    return f"{milliseconds:013x}{random}"


def is_signed_in(session: Session, account: Account, now: float, days: int) -> bool:
    """Whether a session is valid: `days` from when it was last seen, and three times that in all."""
    young = now < session.seen_at + days * DAY and now < session.created_at + SESSION_LIVES * days * DAY
    return young and session.epoch == account.epoch and not account.disabled


def is_good_link(link: SignInLink, account: Account, now: float) -> bool:
    """Whether a sign-in link can be used."""
    return now < link.expires_at and link.epoch == account.epoch and not account.disabled


def check_rate(allowance: Allowance) -> None:
    """Raises Fault("rate_limited") for a call that found the bucket empty."""
    if not allowance.taken:
        sentence = f"Rate limit of {allowance.limit} calls a minute exceeded"
        raise Fault("rate_limited", sentence, retry_after=allowance.reset)


def check_month(quota: Quota, now: float, held: int = 0) -> None:
    """Raises Fault("quota_exceeded") where those counted, and those `held` on their way, leave no room for one more."""
    if quota.remaining is not None and quota.remaining <= held:
        counted = replace(quota, used=min(quota.limit, quota.used + held))
        wait = HELD_SECONDS if quota.remaining else month_end(now) - int(now)
        raise Fault("quota_exceeded", "Monthly API upload quota exceeded", quota=counted, retry_after=wait)


def check_request_size(size: int, plan: Plan) -> None:
    """Raises Fault("too_large") for a request, or what has come of it, that no file the plan allows can fill."""
    if size > plan.max_file_bytes + ENVELOPE:
        check_size(size, plan)


def check_encoded_size(size: int, plan: Plan) -> None:
    """Raises Fault("too_large") for a request that no file the plan allows can fill in base64, with line ends and
    characters escaped as some clients do."""
    if size > plan.max_file_bytes * 144 // 100 + ENVELOPE:
        check_size(size * 100 // 144, plan)


def overloaded(retry_after: int = RETRY_SECONDS) -> Fault:
    """The fault for an upload that finds no slot or no worker; `retry_after` in seconds."""
    return Fault("overloaded", "Upload queue overloaded, retry shortly", retry_after=retry_after)


def claim_lost() -> Fault:
    """The answer to an upload whose idempotency key another one has claimed meanwhile."""
    sentence = "Another upload has taken over this Idempotency-Key; repeat the request to get its answer"
    return Fault("in_progress", sentence, retry_after=RETRY_SECONDS)


def read_only() -> Fault:
    """The answer to what would change something while nothing may change."""
    return Fault("read_only", "This server only shows what it has at the moment", retry_after=READ_ONLY_SECONDS)


def check_size(size: int, plan: Plan) -> None:
    """Raises Fault("too_large") for a file over the plan's size; exactly the limit is accepted."""
    if size > plan.max_file_bytes:
        raise Fault("too_large", f"File exceeds the maximum size of {plan.max_file_mb} MB")


def expires_at(expiration: Expiration, asked: int | None, plan: Plan, now: int) -> int | None:
    """When an image uploaded now goes, or None; `asked` is the time that "custom" names.

    Raises Fault("plan_required") for longer than the plan allows, Fault("bad_field") for what has passed.
    """
    maximum = plan.max_expiration_days
    if expiration == "custom":
        return _custom_expiry(asked or 0, plan, now)
    if expiration == "views":
        return now + VIEWS_DAYS * DAY
    if expiration == "burn":
        return now + maximum * DAY if maximum else None
    days = DAYS.get(expiration)
    if maximum and (days is None or days > maximum):
        wanted = "No expiration" if days is None else f"An expiration of {days} days"
        raise Fault("plan_required", f"{wanted} is Pro-only: your plan's maximum is {maximum} days")
    return None if days is None else now + days * DAY


def _custom_expiry(asked: int, plan: Plan, now: int) -> int:
    if not plan.custom_expiration:
        raise Fault("plan_required", "A custom expiration date is Pro-only")
    if asked <= now:
        raise Fault("bad_field", "expires_at must be in the future")
    if plan.max_expiration_days and asked > now + plan.max_expiration_days * DAY:
        raise Fault("plan_required", f"This is Pro-only: your plan's maximum is {plan.max_expiration_days} days")
    return asked


def check_slug(custom: str | None, plan: Plan) -> None:
    """Raises Fault("plan_required") where an upload names its own short link and the plan does not allow it."""
    if custom and not plan.custom_slug:
        raise Fault("plan_required", "A custom short link is Pro-only")


def is_expired(image: Image, now: float) -> bool:
    """Whether an image has expired: it is gone from that second on, for its owner too."""
    return image.expires_at is not None and now >= image.expires_at


def is_backed_up(image: Image, now: float) -> bool:
    """Whether a backup holds an image's bytes. Those that a number of viewers may see are in none, as one that was
    restored could be seen again; nor is what has expired."""
    return image.buried_at is None and image.max_views is None and not is_expired(image, now)


def state_of(image: Image, now: float, *, owner: bool, unlocked: bool, granted: bool) -> State:
    """What an image is to a visitor: its `owner`, who has given its password, or holds a grant, or none of these.

    The owner looks without being counted, but cannot look again at what its last viewer has seen.
    """
    if is_expired(image, now) or image.buried_at is not None:
        return "gone"
    if granted:
        return "open"
    if image.used_up:
        return "gone"
    if owner:
        return "open"
    if image.password_hash is not None and not unlocked:
        return "locked"
    return "open" if image.max_views is None else "sealed"


def answer_to(state: State, intent: ViewIntent) -> Answer:
    """What a request for an image's page or bytes gets. Only who really looks is counted."""
    if state == "gone":
        return "nothing"
    if state == "open":
        return "send"
    if intent.page:
        return _page_answer(state, intent)
    if state == "locked":
        return "page" if intent.navigation else "ask"
    if intent.head:
        return "describe"
    if intent.prefetch:
        return "refuse"
    return "page" if intent.robot or intent.navigation else "count"


def _page_answer(state: State, intent: ViewIntent) -> Answer:
    """A page shows nothing until somebody clicks, and no robot does."""
    if state == "locked":
        return "ask"
    return "count" if intent.reveal and not (intent.robot or intent.prefetch) else "offer"


def viewed(image: Image, known: bool, granted_until: int, now: int) -> Image | None:
    """The record after one more view, or None where nobody may see it any more.

    `known` is a viewer who has been counted before; `granted_until` is when the last grant lapses, that of this view
    included (0: there is none). The last viewer's bytes stay for as long as anybody holds a grant.
    """
    if is_expired(image, now) or image.used_up or image.max_views is None:
        return None
    if known:
        return image
    after = replace(image, views=image.views + 1, viewed_at=now)
    return replace(after, let_go_at=max(now, granted_until)) if after.used_up else after


def buried(image: Image, now: int) -> Image | None:
    """The tombstone of an image whose bytes are to go, or None where they are not.

    Nothing personal is left, and it expires with the image, or thirty days after its last viewer.
    """
    if image.buried_at is not None or image.let_go_at is None or image.let_go_at > now:
        return None
    until = (image.viewed_at or now) + TOMBSTONE_DAYS * DAY
    return replace(
        image,
        filename=f"image.{image.ext}",
        size=0,
        password_hash=None,
        expires_at=until if image.expires_at is None else min(until, image.expires_at),
        let_go_at=None,
        buried_at=now,
        removed_bytes=None,
        removed_kinds=None,
    )
