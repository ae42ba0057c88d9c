"""What people choose for an image: how long it is kept, and in which folder."""

from __future__ import annotations

from collections.abc import Sequence

from iuserver.policy import DAYS
from iuserver.records import Folder, Plan

Choice = tuple[str, str]
"""A value of a form's field, and what people read."""

_NAMES = {"1d": "1 day", "1w": "1 week", "1mo": "1 month"}
_BY_VIEWS: tuple[Choice, ...] = (("burn", "until seen once"), ("views", "until seen by …"))


def lifetimes(plan: Plan) -> list[Choice]:
    """How long a plan lets an image live."""
    most = plan.max_expiration_days
    days = [(name, _NAMES[name]) for name, count in DAYS.items() if not most or count <= most]
    return [*days, *_BY_VIEWS, *([] if most else [("forever", "for good")])]


def usual_lifetime(plan: Plan) -> str:
    """What is chosen where nobody has chosen yet: a week, where the plan has that."""
    offered = dict(lifetimes(plan))
    return "1w" if "1w" in offered else next(iter(offered))


def folder_choices(folders: Sequence[tuple[Folder, int]], root: str = "") -> list[Choice]:
    """The root, which a form names by `root`, and an account's folders."""
    return [(root, "Default"), *((folder.slug, folder.name) for folder, _ in folders)]
