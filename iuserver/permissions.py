"""File permissions of the data folder: the server's user only, and optionally a group for blobs."""

from __future__ import annotations

import contextlib
import grp
import logging
import os
import stat
from pathlib import Path
from threading import Event

log = logging.getLogger("iuserver")

FOLDER, FILE = 0o700, 0o600
SHARED_FOLDER = 0o750
BLOB, SHARED_BLOB = 0o400, 0o440
WAY_TO_SHARED = 0o710
"""What is above a shared folder: to be passed through, not listed."""


def group_id(name: str) -> int | None:
    """The number of a group that files are to be given to; "" is none.

    Raises ValueError with what is wrong with it.
    """
    if not name:
        return None
    try:
        number = grp.getgrnam(name).gr_gid
    except KeyError:
        raise ValueError(f"there is no group {name!r} on this machine") from None
    if os.geteuid() != 0 and number not in (os.getegid(), *os.getgroups()):
        raise ValueError(f"the server's user is not in the group {name!r}")
    return number


def share_file(file: str | int, group: int) -> None:
    """Let a group read a blob, by its path or descriptor."""
    os.chown(file, -1, group)
    os.chmod(file, SHARED_BLOB)


class Protection:
    """Repairs permissions of a data folder that an older version or a lax umask has left open.

    Files in a closed folder are out of reach, so the blobs, which may be millions, can follow in the background. The
    folder above them is changed last, which marks them as done.
    """

    def __init__(self, data: Path, group: int | None) -> None:
        self._data = data
        self._group = group
        self._stopped = Event()

    def apply(self) -> None:
        """Repair permissions; logs one line if other users could have read the data."""
        was_open = self._close_data()
        count = was_open + sum(_set_mode(path, _mode(path), None) for path in self._around())
        count += self._protect_blobs()
        if was_open:
            log.info("%s was open to other users of this machine; %d files and folders are closed", self._data, count)

    def stop(self) -> None:
        """Leave the rest to the next start."""
        self._stopped.set()

    def _close_data(self) -> bool:
        """Close the folder itself, unless it is one that everybody shares; whether others could read what is in it."""
        found = self._data.stat()
        if found.st_mode & stat.S_ISVTX:
            return False
        was_open = bool(found.st_mode & 0o067)
        changed = _set_mode(self._data, FOLDER if self._group is None else WAY_TO_SHARED, self._group)
        if was_open and not changed:
            log.warning("%s is open to other users of this machine, and cannot be closed", self._data)
        return was_open and changed

    def _around(self) -> list[Path]:
        """What is ours in the folder, but for the blobs."""
        spools = list(self._data.glob("spool*"))
        return [self._data / "lock", *self._data.glob("catalog.db*"), *spools, *(p for s in spools for p in _in(s))]

    def _protect_blobs(self) -> int:
        blobs, count = self._data / "blobs", 0
        folder, file = (FOLDER, BLOB) if self._group is None else (SHARED_FOLDER, SHARED_BLOB)
        if not blobs.is_dir() or _is(blobs, folder, self._group):
            return 0
        for shard in _in(blobs):
            if self._stopped.is_set():
                return count
            count += _set_mode(shard, folder, self._group)
            count += sum(_set_mode(blob, file, self._group) for blob in _in(shard))
        return count + _set_mode(blobs, folder, self._group)


def _in(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return [Path(entry) for entry in os.scandir(folder)]
    return []


def _mode(path: Path) -> int:
    return FOLDER if path.is_dir() else FILE


def _is(path: Path, mode: int, group: int | None) -> bool:
    found = path.stat()
    return stat.S_IMODE(found.st_mode) == mode and group in (None, found.st_gid)


def _set_mode(path: Path, mode: int, group: int | None) -> bool:
    """Give a file or folder its mode and group; False where it had them, is gone, or is not this user's to change."""
    try:
        if _is(path, mode, group):
            return False
        if group is not None:
            os.chown(path, -1, group)
        path.chmod(mode)
    except OSError:
        return False
    return True
