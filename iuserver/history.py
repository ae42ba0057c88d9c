"""The operator's numbers of the last day, one sample a minute, in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from iuserver.metrics import Totals

MINUTE = 60
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
    """The samples. `totals` reads the metrics, `look` the state of the server; `clock` gives unix seconds."""

    def __init__(
        self, totals: Callable[[], Totals], look: Callable[[], Awaitable[Now]], clock: Callable[[], float]
    ) -> None:
        self._read_totals = totals
        self._look = look
        self._clock = clock
        self._before = totals()
        self._samples: deque[Sample] = deque(maxlen=DAY_MINUTES)

    async def sample(self) -> None:
        """Take the sample of the minute that has just ended. Raises Fault("storage_unavailable"): then the next one
        has what happened in this minute, too."""
        now, totals, before = await self._look(), self._read_totals(), self._before
        refusals = {code: count - before.refusals.get(code, 0) for code, count in totals.refusals.items()}
        sample = Sample(
            at=int(self._clock()),
            uploads=totals.uploads - before.uploads,
            views=totals.views - before.views,
            refusals={code: count for code, count in refusals.items() if count},
            queue=now.queue,
            stored_bytes=now.stored_bytes,
        )
        self._before = totals
        self._samples.append(sample)

    def samples(self, minutes: int) -> list[Sample]:
        """Those of the last minutes (HOUR_MINUTES, DAY_MINUTES), the oldest first; fewer while the server is young."""
        since = self._clock() - minutes * MINUTE
        return [sample for sample in self._samples if sample.at > since]

    async def now(self) -> Now:
        """The state of the server. Raises Fault("storage_unavailable")."""
        return await self._look()
