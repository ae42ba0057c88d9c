"""Monthly quota reservations, held in memory by uploads that have begun."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from iuserver.policy import check_month
from iuserver.records import Quota


class QuotaReservations:
    """Reservations by uploads that have begun, so that a surplus is refused before it queues.

    A reservation is released when its commit is handed to the catalog: the commit has the last word, and an upload that
    begins meanwhile must not be refused because one upload is counted twice.
    """

    def __init__(self) -> None:
        self._held: Counter[tuple[str, str]] = Counter()

    def reserve(self, account_id: str, month: str, quota: Quota, now: float) -> Callable[[], None]:
        """Reserve one upload and return its release, safe to repeat. Raises Fault("quota_exceeded")."""
        key = (account_id, month)
        check_month(quota, now, held=self._held[key])
        self._held[key] += 1
        held = True

        def release() -> None:
            nonlocal held
            if held:
                held = False
                self._held[key] -= 1
                if not self._held[key]:
                    del self._held[key]

        return release
