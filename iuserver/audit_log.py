"""The audit log: who changed what of whom, who signed in, when, and from which network."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from iuserver import policy
from iuserver.ports import Audit
from iuserver.records import Actor, AuditAction, AuditRow

RANDOM_BYTES = 4
"""Of an id, behind the milliseconds: two rows of the same one are told apart."""


class AuditLog:
    """What writes rows and shows them. A row is written when what it tells has been done: of a crash in between, the
    log knows nothing."""

    def __init__(self, audit: Audit, clock: Callable[[], float]) -> None:
        self._audit = audit
        self._clock = clock

    async def note(self, by: Actor, action: AuditAction, subject: str, detail: str = "") -> None:
        """Write a row."""
        now = self._clock()
        id = policy.audit_id(now, secrets.token_hex(RANDOM_BYTES))
        await self._audit.add_audit(AuditRow(id, int(now), by.name, action, subject, detail, by.network))

    async def page(self, after: str | None, limit: int) -> list[AuditRow]:
        """A page of the log behind a row, the newest first."""
        return await self._audit.audit_page(after, limit)
