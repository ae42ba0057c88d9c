"""Response format: JSON by default; pages and JSON-RPC have subclasses of `Answers`.

Each handler chooses one `Answers` per request, from the request's head alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from handlers.http import faults
from iuserver.errors import Fault

if TYPE_CHECKING:
    from handlers.http.base import Handler

PROBLEM = "application/problem+json"
_UNWELCOME = re.compile(r"\bq\s*=\s*0(\.0{0,3})?\s*(;|$)")


class Answers:
    """JSON. `headers` are on every answer, `over_tls` on those that go over TLS."""

    def __init__(self, headers: Mapping[str, str] | None = None, over_tls: Mapping[str, str] | None = None) -> None:
        self.headers = headers or {}
        self.over_tls = over_tls or {}

    def refuse(self, handler: Handler, fault: Fault) -> None:
        """Put a refusal together."""
        handler.describe_fault(fault)
        if accepts(handler.request.headers.get("Accept", ""), PROBLEM):
            handler.send_json(faults.problem(fault, _docs_url(handler)), handler.get_status())
            handler.set_header("Content-Type", PROBLEM)
        else:
            handler.send_json(faults.body(fault), handler.get_status())


def accepts(accept: str, media_type: str) -> bool:
    """Whether an Accept header names a media type, and not as unwelcome (RFC 9110, section 12.5.1)."""
    for choice in accept.split(","):
        kind, _, parameters = choice.partition(";")
        if kind.strip().lower() == media_type:
            return not _UNWELCOME.search(parameters)
    return False


def _docs_url(handler: Handler) -> str:
    try:
        return f"{handler.base_url()}/docs"
    except Fault:  # what the client called us is no name
        return ""


JSON = Answers()
