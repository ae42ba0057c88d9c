"""The frame of the signed-in pages: where one is, one's folders, what is left of month and storage, who one is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from handlers.formatting import limit_text, size_text
from iuserver.policy import month_end, quota_of
from iuserver.records import Caller, Folder


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the navigation. `here` is what aria-current says of it: "page", "true" for a page below, or ""."""

    path: str
    name: str
    icon: str
    here: str = ""
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Meter:
    """How much is used of something; `most` is 0 where there is no limit."""

    label: str
    text: str
    value: int
    most: int


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands beside every signed-in page."""

    places: list[Place]
    folders: list[Place]
    meters: list[Meter]
    plan: str
    starts_again: str
    email: str


PLACES = (
    Place("/dashboard", "Upload", "upload"),
    Place("/dashboard/profile", "Profile", "key"),
    Place("/dashboard/connect", "Connect", "plug"),
)
ADMIN = Place("/admin", "Admin", "shield")


def frame_of(caller: Caller, folders: Sequence[tuple[Folder, int]], path: str, now: float) -> Frame:
    """The frame around a page, which is at `path` of ours."""
    when = datetime.fromtimestamp(month_end(now), UTC)
    return Frame(
        places=[_placed(place, path) for place in (*PLACES, *((ADMIN,) if caller.admin else ()))],
        folders=[_folder(folder, count) for folder, count in folders],
        meters=[_month_meter(caller, now), _storage_meter(caller)],
        plan=caller.plan.name.capitalize(),
        starts_again=f"{when.day} {when:%b}",
        email=caller.account.email,
    )


def _placed(place: Place, path: str) -> Place:
    below = path.startswith(f"{place.path}/") and place is not PLACES[0]
    here = "page" if path == place.path else "true" if below else ""
    return Place(place.path, place.name, place.icon, here)


def _folder(folder: Folder, count: int) -> Place:
    return Place(f"/dashboard/images?folder={quote(folder.slug)}", folder.name, "folder", count=count)


def _month_meter(caller: Caller, now: float) -> Meter:
    quota = quota_of(caller.account, caller.plan, now)
    text = f"{quota.used:,}" if quota.unlimited else f"{quota.used:,} of {quota.limit:,}"
    return Meter(f"Uploads in {datetime.fromtimestamp(now, UTC):%B}", text, quota.used, quota.limit)


def _storage_meter(caller: Caller) -> Meter:
    used, most = caller.account.stored_bytes, caller.plan.storage_bytes
    text = f"{size_text(used)} of {limit_text(most)}" if most else size_text(used)
    return Meter("Storage", text, used, most)
