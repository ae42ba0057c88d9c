"""Response format: JSON by default; pages and JSON-RPC have subclasses of `Answers`.

Each handler chooses one `Answers` per request, from the request's head alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from handlers.http import faults
from iuserver.errors import Fault

if TYPE_CHECKING:
    from handlers.http.base import Handler


class Answers:
    """JSON. `headers` are on every answer, `over_tls` on those that go over TLS."""

    def __init__(self, headers: Mapping[str, str] | None = None, over_tls: Mapping[str, str] | None = None) -> None:
        self.headers = headers or {}
        self.over_tls = over_tls or {}

    def refuse(self, handler: Handler, fault: Fault) -> None:
        """Put a refusal together."""
        handler.describe_fault(fault)
        handler.send_json(faults.body(fault), handler.get_status())


JSON = Answers()
