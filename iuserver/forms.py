"""Forms: untrusted input, checked and typed. Every interface fills in the same ones."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, get_args

from iuserver.errors import Fault
from iuserver.records import Expiration

EXPIRATIONS = get_args(Expiration)
MAX_VIEWS = 999
MAX_PASSWORD = 256
MAX_FILENAME = 200
ROOT_FOLDERS = frozenset({"default", "unsorted"})
EXTENSIONS = {
    "jpg": {"jpg", "jpeg", "jpe", "jfif"},
    "png": {"png", "apng"},
    "gif": {"gif"},
    "webp": {"webp"},
    "avif": {"avif"},
}
"""The file name endings that tell the truth about a type; the type's own comes first."""

_SEPARATORS = re.compile(r"[/\\]")


@dataclass(frozen=True, slots=True)
class UploadForm:
    """What a client wants done with its picture; `filename` is as the client sent it."""

    filename: str
    expiration: Expiration
    view_limit: int | None
    password: str | None
    folder: str | None


def upload(fields: Mapping[str, str], filename: str) -> UploadForm:
    """Check an upload's fields; empty ones count as absent, unknown ones do not matter. Raises Fault("bad_field")."""
    expiration = fields.get("expiration") or "1d"
    if expiration not in EXPIRATIONS:
        raise Fault("bad_field", f"expiration must be one of {', '.join(EXPIRATIONS)}")
    return UploadForm(
        filename=filename,
        expiration=cast(Expiration, expiration),
        view_limit=_view_limit(fields.get("view_limit", "")) if expiration == "views" else None,
        password=_password(fields.get("password", "")),
        folder=_folder(fields.get("folder", "")),
    )


def _view_limit(text: str) -> int:
    if not text:
        raise Fault("bad_field", "view_limit is required when expiration is views")
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= MAX_VIEWS):
        raise Fault("bad_field", f"view_limit must be a whole number from 1 to {MAX_VIEWS}")
    return int(text)


def _password(text: str) -> str | None:
    if len(text) > MAX_PASSWORD:
        raise Fault("bad_field", f"password must have at most {MAX_PASSWORD} characters")
    return text or None


def _folder(text: str) -> str | None:
    if text and text not in ROOT_FOLDERS:
        raise Fault("bad_field", "folder is not the slug of a folder of yours")
    return None


def safe_filename(name: str, ext: str) -> str:
    """A file name fit to be shown: no path, no control or formatting characters, an ending that tells the true type."""
    base = _SEPARATORS.split(unicodedata.normalize("NFC", name))[-1]
    base = "".join(c for c in base if unicodedata.category(c)[0] != "C").strip()
    stem, dot, ending = base.rpartition(".")
    if dot and ending.lower() in EXTENSIONS.get(ext, {ext}):
        return f"{stem[:MAX_FILENAME].strip(' .') or 'image'}.{ending}"
    stem = (stem if dot and len(ending) <= 5 else base).strip(" .")
    return f"{stem[:MAX_FILENAME].strip(' .') or 'image'}.{ext}"
