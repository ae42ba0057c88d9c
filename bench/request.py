"""What is sent, and to whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Request:
    """A method, headers, and one or more variants (path, body) that are sent in turn, each by all keys in turn.

    `declared` is a Content-Length that is not the truth, for those who announce more than they will send.
    """

    method: str
    variants: list[tuple[str, bytes]]
    headers: Mapping[str, str] = field(default_factory=dict)
    keys: Sequence[str] = ()
    declared: int | None = None

    def messages(self, url: str) -> list[bytes]:
        """All that is sent, as it goes over the wire (HTTP/1.1)."""
        host = urlsplit(url).netloc
        return [
            self._message({"Host": host, **self.headers, **_bearer(key)}, path, body)
            for path, body in self.variants
            for key in self.keys or [""]
        ]

    def first_headers(self) -> dict[str, str]:
        """The headers that the first key sends."""
        return {**self.headers, **_bearer(self.keys[0] if self.keys else "")}

    def _message(self, headers: dict[str, str], path: str, body: bytes) -> bytes:
        if self.method != "GET":
            headers["Content-Length"] = str(len(body) if self.declared is None else self.declared)
        lines = [f"{self.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode() + body


def get(*paths: str, key: str = "") -> Request:
    """A GET of each path in turn."""
    return Request("GET", [(path, b"") for path in paths], keys=[key] if key else ())


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}
