"""The protocol of the writer process: one packet per request and per response, in any order."""

from __future__ import annotations

import pickle
from typing import Any

LARGEST = 128 * 1024
"""Bytes of a packet. The largest request carries a record: a name, a slug, a hash, all of them bounded."""
READY = b"ready"


def packet(*parts: Any) -> bytes:
    """A packet, ready to be sent. Both ends are this program: pickle is safe between them, and knows the records."""
    return pickle.dumps(parts, pickle.HIGHEST_PROTOCOL)


def parts_of(received: bytes) -> Any:
    """What is in a packet."""
    return pickle.loads(received)  # noqa: S301  see `packet`
