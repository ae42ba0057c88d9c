"""Sizes and times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

KB = 1024


def size_text(size: int) -> str:
    """Bytes, as in "840 bytes", "12 KB", "3.4 MB", "500.0 GB"."""
    if size < KB:
        return f"{size} bytes"
    if size < KB * KB:
        return f"{size / KB:.0f} KB"
    if size < KB**3:
        return f"{size / KB**2:.1f} MB"
    return f"{size / KB**3:.1f} GB"


def time_texts(at: int) -> tuple[str, str]:
    """A time as machines read it (RFC 3339), and as people do, to the minute."""
    when = datetime.fromtimestamp(at, UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ"), f"{when.day} {when:%b %Y, %H:%M} UTC"


def day_texts(at: int) -> tuple[str, str]:
    """A day as machines read it, and as people do."""
    when = datetime.fromtimestamp(at, UTC)
    return when.strftime("%Y-%m-%d"), f"{when.day} {when:%b %Y}"
