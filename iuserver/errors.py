"""Fault, the one expected error: a code, a sentence for the client, and no private data."""

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

    `code` is one of the words of the contract (section 4), `message` a sentence for the client,
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


class OutcomeUnknown(Fault):
    """A change was asked for, and nobody knows whether it has been made: the answer of who makes it is lost."""


def no_such_image() -> Fault:
    """There is no image of that slug, for anybody or for this caller: the two look the same."""
    return Fault("not_found", "There is no such image")


def no_such_folder() -> Fault:
    """There is no folder of that slug among the caller's."""
    return Fault("not_found", "There is no such folder")


def not_your_folder() -> Fault:
    """A field names a folder that the caller does not have."""
    return Fault("bad_field", "folder is not the slug of a folder of yours")


def name_taken(name: str) -> Fault:
    """The caller has a folder of that name."""
    return Fault("name_taken", f"There is a folder {name} already")


def nothing_here() -> Fault:
    """No route, or none for whoever asks."""
    return Fault("not_found", "There is nothing here")


def blobs_unavailable() -> Fault:
    """The blob store is away, full, or has not answered in time."""
    return Fault("storage_unavailable", "The image store is not available")


def tampered() -> Tampered:
    """The picture was changed behind our back: nothing is stored."""
    return Tampered("storage_unavailable", "The server could not store the image safely; send it again")
