"""Request ids, for responses and the log."""

from __future__ import annotations

import itertools
import secrets

_process = secrets.token_hex(4)
_requests = itertools.count()


def new_request_id() -> str:
    """A name for a request, unique enough to find it in the log; no secret, so it costs no call for randomness."""
    return f"{_process}{next(_requests):08x}"
