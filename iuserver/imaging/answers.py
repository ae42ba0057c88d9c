"""Validates what a worker process answers: a compromised worker chooses every byte of it."""

from __future__ import annotations

import os
import re
import stat
from typing import Any

from iuserver import likeness
from iuserver.errors import Code, Fault
from iuserver.imaging.plan import REMOVED, Limits
from iuserver.imaging.wire import Kind
from iuserver.records import Facts

TYPES = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/avif": "avif",
}
UNDECODABLE: tuple[Code, ...] = (
    "unsupported_type",
    "broken_image",
    "too_many_pixels",
    "too_many_frames",
    "too_many_scans",
)
"""What is the matter with a picture; the fault of one that kills its worker or hangs is among them."""
FAULTS: dict[str, Code] = {code: code for code in (*UNDECODABLE, "storage_unavailable")}
FACTS = set(Facts.__slots__)
MOST_BYTES = 1 << 40
THUMBNAIL_BYTES = 256 * 1024
"""Bytes that a thumbnail may have; ours have a quarter of that."""
Result = Facts | int | bytes
"""What comes of a job, by its kind: facts, the size of a thumbnail, a perceptual hash."""
SENTENCE = 500
"""Characters of a fault's sentence."""
TRACEBACK = 8000
"""Characters of a traceback."""
PARTS = 10
"""Of a sandbox, that a kernel may lack."""


class WorkerCrash(RuntimeError):
    """A worker met a bug of ours; the text is its traceback."""


class UnexpectedAnswer(Exception):
    """A worker said what none says; the text is ours."""


def ready_of(answer: dict[str, Any]) -> list[str]:
    """What a worker that is ready lacks of its sandbox. Raises UnexpectedAnswer."""
    _check(answer.keys() == {"ready", "missing"}, "not that it is ready")
    missing = answer["missing"]
    _check(isinstance(missing, list) and len(missing) <= PARTS and all(map(_is_sentence, missing)), "what is missing")
    return list(missing)


def result_of(answer: dict[str, Any], asked: Kind, target: str | None, limits: Limits) -> Result | Fault | WorkerCrash:
    """How a job ended whose new file is `target` (None: it is of no interest any more). Raises UnexpectedAnswer."""
    _check(len(answer) == 1, "not one thing")
    kind, value = next(iter(answer.items()))
    if kind == "facts" and asked == "clean":
        return _facts_of(value, target, limits)
    if kind == "thumbnail" and asked == "thumbnail":
        return _thumbnail_of(value, target)
    if kind == "likeness" and asked == "likeness":
        return _likeness_of(value)
    if kind == "fault":
        return _fault_of(value)
    _check(kind == "crash" and isinstance(value, str) and len(value) <= TRACEBACK, "neither facts, fault nor crash")
    return WorkerCrash("\n".join(f"  {ascii(line)[1:-1]}" for line in value.split("\n")))


def _facts_of(value: Any, target: str | None, limits: Limits) -> Facts:
    """Facts that can be true: of one of the five types, within the limits, and of the size that the file has."""
    _check(isinstance(value, dict) and value.keys() == FACTS, "no facts")
    facts = Facts(**value)
    _check(isinstance(facts.mime, str) and TYPES.get(facts.mime) == facts.ext, "a type of its own")
    sides = type(facts.width) is type(facts.height) is int
    _check(sides and 0 < facts.width <= limits.max_side and 0 < facts.height <= limits.max_side, "an impossible side")
    counts = type(facts.frames) is type(facts.orientation) is int
    _check(counts and 0 < facts.frames <= limits.max_frames and 0 < facts.orientation <= 8, "an impossible count")
    _check(type(facts.hdr) is bool, "neither HDR nor not")
    _check(target is None or facts.size == _size_of(target), "another size than the file has")
    _check(type(facts.removed_bytes) is int and 0 <= facts.removed_bytes < MOST_BYTES, "an impossible difference")
    kinds = facts.removed_kinds
    _check(isinstance(kinds, list) and kinds == [kind for kind in REMOVED if kind in kinds], "no kinds of what it was")
    return facts


def _thumbnail_of(value: Any, target: str | None) -> int:
    """The bytes of a thumbnail, if it is a small file and has so many."""
    _check(type(value) is int and 0 < value <= THUMBNAIL_BYTES, "no thumbnail")
    _check(target is None or value == _size_of(target), "another size than the file has")
    return int(value)


def _likeness_of(value: Any) -> bytes:
    """A perceptual hash."""
    _check(isinstance(value, str) and re.fullmatch(f"[0-9a-f]{{{2 * likeness.SIZE}}}", value) is not None, "no hash")
    return bytes.fromhex(value)


def _size_of(path: str) -> int | None:
    """Bytes of a plain file; None where there is none."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _fault_of(value: Any) -> Fault:
    _check(isinstance(value, list) and len(value) == 2 and all(map(_is_sentence, value)), "no fault")
    code, message = value
    _check(code in FAULTS, "a fault that no picture has")
    return Fault(FAULTS[code], message)


def _is_sentence(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= SENTENCE and value.isprintable()


def _check(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise UnexpectedAnswer(otherwise)
