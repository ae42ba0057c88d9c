"""The plans side by side, as the settings have them."""

from __future__ import annotations

from collections.abc import Iterable

from handlers.formatting import limit_text
from iuserver.records import Plan


def plan_table(plans: Iterable[Plan]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The names of the plans, and the rows: what it is about, and what each plan has of it."""
    each = list(plans)
    rows = [
        ("Uploads a month by API", [_number(plan.uploads_per_month) for plan in each]),
        ("Storage", [limit_text(plan.storage_bytes) if plan.storage_mb else "unlimited" for plan in each]),
        ("Largest file", [limit_text(plan.max_file_bytes) for plan in each]),
        ("Kept for at most", [_days(plan.max_expiration_days) for plan in each]),
        ("Dates of your own", [_yes(plan.custom_expiration) for plan in each]),
        ("Short links of your own", [_yes(plan.custom_slug) for plan in each]),
    ]
    return [plan.name for plan in each], rows


def _number(limit: int) -> str:
    return f"{limit:,}" if limit else "unlimited"


def _days(limit: int) -> str:
    return f"{limit} days" if limit else "no limit"


def _yes(allowed: bool) -> str:
    return "yes" if allowed else "no"
