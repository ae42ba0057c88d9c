"""/admin: the last hour or day in numbers, and what the server is like."""

from __future__ import annotations

from handlers.formatting import limit_text, size_text
from handlers.web.admin.charts import area, line
from handlers.web.admin.sentences import sentence
from handlers.web.admin.tab import Tab
from iuserver.history import DAY_MINUTES, HOUR_MINUTES, Now, Sample

RECENT = 10
"""Rows of the audit log that are shown beside the numbers."""


class StatusHandler(Tab):
    """/admin."""

    async def show(self) -> None:
        """The last hour, or the last day."""
        minutes = DAY_MINUTES if self.get_query_argument("of", "") == "day" else HOUR_MINUTES
        samples, now = self.services.history.samples(minutes), await self.services.history.now()
        rows, _ = await self.services.admin.audit(self.caller, limit=RECENT)
        self.render(
            "admin_status.html",
            is_day=minutes == DAY_MINUTES,
            cards=_cards(samples, minutes, now),
            parts=await self.services.ready(),
            now=now,
            rows=[(row, sentence(row)) for row in rows],
        )


def _cards(samples: list[Sample], minutes: int, now: Now) -> list[dict[str, str]]:
    def card(title: str, total: str, note: str, values: list[int]) -> dict[str, str]:
        points = line(values, minutes)
        return {"title": title, "total": total, "note": note, "line": points, "area": area(points)}

    seconds = 60 * len(samples) or 1
    uploads, views = [sample.uploads for sample in samples], [sample.views for sample in samples]
    refused, queue = [sample.refused for sample in samples], [sample.queue for sample in samples]
    stored = [sample.stored_bytes for sample in samples]
    room = f"of {limit_text(now.disk_bytes)} on this disk" if now.disk_bytes else "in the bucket"
    return [
        card("Uploads", f"{sum(uploads):,}", f"{sum(uploads) / seconds:.2g} a second", uploads),
        card("Views", f"{sum(views):,}", f"{sum(views) / seconds:.2g} a second", views),
        card("Refused", f"{sum(refused):,}", _reasons(samples), refused),
        card("Queue", f"{now.queue:,}", f"of {now.queue_limit:,}", queue),
        card("Stored", size_text(now.stored_bytes), room, stored),
    ]


def _reasons(samples: list[Sample]) -> str:
    """The most frequent refusals, by code."""
    counts: dict[str, int] = {}
    for sample in samples:
        for code, number in sample.refusals.items():
            counts[code] = counts.get(code, 0) + number
    most = sorted(counts.items(), key=lambda pair: -pair[1])[:2]
    return ", ".join(f"{number} {code.replace('_', ' ')}" for code, number in most) or "nothing"
