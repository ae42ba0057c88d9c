"""What `iuserver doctor` finds: a line each, and the line that fixes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was looked at; `fix` is what to do about it where it is not well."""

    level: Level
    text: str
    fix: str = ""


def ok(text: str) -> Finding:
    """It is as it should be."""
    return Finding("ok", text)


def warning(text: str, fix: str) -> Finding:
    """It works, but not well or not for long."""
    return Finding("warning", text, fix)


def error(text: str, fix: str) -> Finding:
    """It does not work."""
    return Finding("error", text, fix)
