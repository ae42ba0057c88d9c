"""The operator's numbers of the last day, one sample a minute, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

HOUR_MINUTES = 60
DAY_MINUTES = 1440


@dataclass(frozen=True, slots=True)
class Sample:
    """One minute that ended at `at`: uploads stored, images sent and refusals by code in it; depth of the queue and
    stored bytes of all accounts at its end."""

    at: int
    uploads: int
    views: int
    refusals: Mapping[str, int]
    queue: int
    stored_bytes: int

    @property
    def refused(self) -> int:
        return sum(self.refusals.values())


@dataclass(frozen=True, slots=True)
class Now:
    """What a server is like at the moment. `disk_bytes` is the size of the disk with the blobs, None for a bucket."""

    workers: int
    workers_wanted: int
    queue: int
    queue_limit: int
    stored_bytes: int
    disk_bytes: int | None


class History:
    """The samples."""

    def samples(self, minutes: int) -> list[Sample]:
        """Those of the last minutes (HOUR_MINUTES, DAY_MINUTES), the oldest first; fewer while the server is young."""
        raise NotImplementedError

    async def now(self) -> Now:
        """The state of the server. Raises Fault("storage_unavailable")."""
        raise NotImplementedError
