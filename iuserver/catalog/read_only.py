"""A read-only catalog, for `server.read_only`: methods that change anything raise a fault."""

from __future__ import annotations

from typing import Any, NoReturn, cast

from iuserver import policy
from iuserver.ports import WholeCatalog

READING = frozenset(
    {
        "account_by_key",
        "accounts",
        "used_key",
        "image",
        "list_images",
        "has_grant",
        "to_bury",
        "folders",
        "secret",  # made once, where it is not yet
        "ledger",
        "images_page",
        "blobs_known",
        "expired",
        "counts",
        "unsettled",
        "blocks",
        "has_blocks",
        "is_blocked",
        "has_likenesses",
        "is_like_blocked",
        "account",
        "account_by_email",
        "session",
        "sessions_of",
        "last_seen",
        "link",
        "ownerless",
        "invite",
        "invites",
        "audit_page",
        "accounts_page",
        "newest_images",
        "all_stored_bytes",
        "close",
    }
)
"""The methods that change nothing; any other one is refused, also one that is not known here."""


def read_only(catalog: WholeCatalog) -> WholeCatalog:
    """The same catalog; what would change it raises Fault("read_only")."""
    return cast(WholeCatalog, _ReadOnly(catalog))


class _ReadOnly:
    def __init__(self, catalog: WholeCatalog) -> None:
        self._catalog = catalog

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name) if name in READING else _refuse


async def _refuse(*_: object) -> NoReturn:
    raise policy.read_only()
