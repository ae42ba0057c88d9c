"""What `iuserver doctor` finds: a line each, and the line that mends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was looked at; `mend` is what to do about it where it is not well."""

    level: Level
    text: str
    mend: str = ""


def ok(text: str) -> Finding:
    """It is as it should be."""
    return Finding("ok", text)


def warning(text: str, mend: str) -> Finding:
    """It works, but not well or not for long."""
    return Finding("warning", text, mend)


def error(text: str, mend: str) -> Finding:
    """It does not work."""
    return Finding("error", text, mend)
