"""Static files, read once and served from memory, with URLs that contain their content hash."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

MIMES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ico": "image/vnd.microsoft.icon",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file's bytes, its type, and the hash of this version."""

    data: bytes
    mime: str
    version: str


FOLDER = Path(__file__).parents[1].joinpath("web", "static")
_IMPORT = re.compile(rb'(?<= from "\./)([a-z]+\.js)(?=")')


@cache
def _read(name: str) -> StaticFile:
    """A file; what a script imports is named with its version, too, so that no cache mixes versions."""
    path = FOLDER / name
    data = _IMPORT.sub(
        lambda found: f"{found[0].decode()}?v={_read(found[0].decode()).version}".encode(), path.read_bytes()
    )
    return StaticFile(data, MIMES[path.suffix], sha256(data).hexdigest()[:12])


FILES = {path.name: _read(path.name) for path in sorted(FOLDER.iterdir())}


def path_of(name: str) -> str:
    """Where a file is found, below the server's root; caches may keep what they get there for ever."""
    return f"static/{name}?v={FILES[name].version}"
