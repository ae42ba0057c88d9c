"""The one error we expect: a Fault, with a code word, a sentence for the user, and nothing private."""

from __future__ import annotations

import functools
from typing import Any, Literal

from iuserver.records import Quota

Code = Literal[
    "missing_key",
    "invalid_key",
    "rate_limited",
    "quota_exceeded",
    "overloaded",
    "headers_too_large",
    "too_large",
    "unsupported_type",
    "broken_image",
    "too_many_pixels",
    "too_many_frames",
    "too_many_scans",
    "bad_field",
    "bad_body",
    "storage_quota_exceeded",
    "folder_limit",
    "plan_required",
    "read_only",
    "blocked",
    "password_required",
    "wrong_password",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "not_implemented",
    "slug_taken",
    "name_taken",
    "idempotency_conflict",
    "in_progress",
    "ticket_used",
    "timeout",
    "storage_unavailable",
    "internal",
]


class ClientGone(Exception):
    """Nobody is left to take the answer: nothing is stored, counted or charged for it."""


class Fault(Exception):
    """Something a caller, a client or a backend did that we have an answer for.

    `code` is one of the words of the contract (section 4), `message` a sentence fit for the public,
    `retry_after` whole seconds, `quota` the caller's month where it is what stands in the way.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        retry_after: int | None = None,
        quota: Quota | None = None,
    ) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message
        self.retry_after = retry_after
        self.quota = quota

    def __reduce__(self) -> tuple[Any, ...]:
        """How it goes to another process, whole."""
        return functools.partial(type(self), retry_after=self.retry_after, quota=self.quota), (self.code, self.message)


class Tampered(Fault):
    """A picture was not stored, as a worker could still change it, or has done so: it must have been taken over."""


def tampered() -> Tampered:
    """The one there is."""
    return Tampered("storage_unavailable", "The server could not store the image safely; send it again")
