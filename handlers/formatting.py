"""Formats sizes, times and quoted names for text that people and models read."""

from __future__ import annotations

import re
from datetime import UTC, datetime

KB = 1024
QUOTED_CHARACTERS = 100
_NOT_PLAIN = re.compile(r"[^\w .,()+@=&'-]")


def quoted(name: str) -> str:
    """Quote an untrusted name for text that a model reads: a JSON string that cannot end its line or quotes, or open a
    link, a heading or a code block. Long names are cut."""
    shown = name if len(name) <= QUOTED_CHARACTERS else f"{name[: QUOTED_CHARACTERS - 3]}..."
    return f'"{_NOT_PLAIN.sub(_escaped, shown)}"'


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def size_text(size: int) -> str:
    """Bytes, as in "840 bytes", "12 KB", "3.4 MB", "500.0 GB"."""
    if size < KB:
        return f"{size} bytes"
    if size < KB * KB:
        return f"{size / KB:.0f} KB"
    if size < KB**3:
        return f"{size / KB**2:.1f} MB"
    return f"{size / KB**3:.1f} GB"


def limit_text(size: int) -> str:
    """A limit in bytes, as in "25 MB", "5 GB"."""
    return size_text(size).replace(".0 ", " ")


def time_texts(at: int) -> tuple[str, str]:
    """A time as machines read it (RFC 3339), and as people do, to the minute."""
    when = datetime.fromtimestamp(at, UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ"), f"{when.day} {when:%b %Y, %H:%M} UTC"


def day_texts(at: int) -> tuple[str, str]:
    """A day as machines read it, and as people do."""
    when = datetime.fromtimestamp(at, UTC)
    return when.strftime("%Y-%m-%d"), f"{when.day} {when:%b %Y}"


def ago_text(at: int, now: float) -> str:
    """How long ago a time is that is known to the hour, as in "now", "3 hours ago", "yesterday", "12 Nov 2026"."""
    hours = int(now - at) // 3600
    if hours < 1:
        return "now"
    if hours < 24:
        return "an hour ago" if hours == 1 else f"{hours} hours ago"
    return "yesterday" if hours < 48 else day_texts(at)[1]
