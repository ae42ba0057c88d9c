"""The frame of the signed-in pages: where one is, one's folders, what is left of month and storage, who one is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    Place("/dashboard/images", "Images", "image"),
    Place("/dashboard/profile", "Profile", "key"),
    Place("/dashboard/connect", "Connect", "plug"),
    Place("/docs", "API docs", "book"),
)
ADMIN = Place("/admin", "Admin", "shield")
ROOT = "unsorted"
"""How addresses name the root."""


def frame_of(
    caller: Caller, folders: Sequence[tuple[Folder, int]], images: int, path: str, folder: str, now: float
) -> Frame:
    """The frame around a page, which is at `path` of ours and shows a `folder`, or none; `images` is how many there
    are in all."""
    when = datetime.fromtimestamp(month_end(now), UTC)
    places = [_placed(place, path, folder) for place in (*PLACES, *((ADMIN,) if caller.admin else ()))]
    return Frame(
        places=[replace(place, count=images) if place.icon == "image" else place for place in places],
        folders=_folders(folders, images, folder),
        meters=[_month_meter(caller, now), _storage_meter(caller)],
        plan=caller.plan.name.capitalize(),
        starts_again=f"{when.day} {when:%b}",
        email=caller.account.email,
    )


def _placed(place: Place, path: str, folder: str) -> Place:
    below = (path.startswith(f"{place.path}/") and place is not PLACES[0]) or (path == place.path and folder)
    here = "true" if below else "page" if path == place.path else ""
    return replace(place, here=here)


def _folders(folders: Sequence[tuple[Folder, int]], images: int, opened: str) -> list[Place]:
    """The account's folders, and the root, if there is anything to tell it from."""
    if not folders:
        return []
    counts = [(folder.slug, folder.name, count) for folder, count in folders]
    counts.append((ROOT, "Default", max(0, images - sum(count for _, _, count in counts))))
    return [
        Place(f"/dashboard/images?folder={quote(slug)}", name, "folder", "page" if slug == opened else "", count)
        for slug, name, count in counts
    ]


def _month_meter(caller: Caller, now: float) -> Meter:
    quota = quota_of(caller.account, caller.plan, now)
    text = f"{quota.used:,}" if quota.unlimited else f"{quota.used:,} of {quota.limit:,}"
    return Meter(f"Uploads in {datetime.fromtimestamp(now, UTC):%B}", text, quota.used, quota.limit)


def _storage_meter(caller: Caller) -> Meter:
    used, most = caller.account.stored_bytes, caller.plan.storage_bytes
    text = f"{size_text(used)} of {limit_text(most)}" if most else size_text(used)
    return Meter("Storage", text, used, most)
