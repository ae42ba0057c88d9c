"""Types of the route table: routes and their operations, as read by router, Allow, CORS, OpenAPI and the docs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from iuserver.errors import Code

Schema = dict[str, Any]
Access = Literal[
    "anyone", "key", "optional key", "session", "admin", "ticket", "delete link", "sign-in link", "metrics token"
]
"""Who may call an operation: anyone, the holder of a key or session, anyone (more with one), who is signed in, who is
and is an admin, the holder of a link or token."""

JSON = "application/json"
BODILESS = frozenset({"GET", "HEAD", "DELETE"})
"""Methods whose form is the query."""

PARTS: dict[str, Schema] = {
    "slug": {
        "type": "string",
        "pattern": "[A-Za-z0-9_-]{1,64}",
        "description": "The image's slug.",
        "examples": ["aB3xQf9K"],
    },
    "ext": {
        "type": "string",
        "pattern": "[a-z0-9]{1,5}",
        "description": "The ending of the image's type: jpg, png, gif, webp or avif.",
        "examples": ["jpg"],
    },
    "folder": {
        "type": "string",
        "pattern": "[a-z0-9-]{1,80}",
        "description": "The folder's slug.",
        "examples": ["holiday-photos"],
    },
    "signature": {"type": "string", "pattern": "[0-9a-f]{32}", "description": "The signature of a deletion link."},
    "ticket": {
        "type": "string",
        "pattern": "[A-Za-z0-9_-]{1,4096}",
        "description": "The upload ticket, as in the link that create_upload_ticket has made.",
        "examples": ["tk_gR2v"],
    },
    "filename": {
        "type": "string",
        "pattern": "[^/]{0,255}",
        "description": "The file's name, for a body that is the bare bytes.",
        "examples": ["photo.jpg"],
    },
    "id": {
        "type": "string",
        "pattern": "[A-Za-z0-9_-]{1,64}",
        "description": "What the row is called.",
        "examples": ["s1"],
    },
    "token": {"type": "string", "pattern": "[A-Za-z0-9_-]{1,128}", "description": "The end of a link that works once."},
    "action": {
        "type": "string",
        "pattern": "plan|disable|enable|link|remove",
        "description": "What is to become of the account.",
    },
    "file": {"type": "string", "pattern": r"[a-z]+\.[a-z]+", "description": "One of the files that the pages need."},
}
"""What may stand in braces in a route's path, and what it matches."""

ANY: tuple[Code, ...] = (
    "bad_body",
    "too_large",
    "unsupported_type",
    "headers_too_large",
    "timeout",
    "internal",
    "overloaded",
)
"""Refusals that every request may meet, whatever it asks for."""
OF_ACCESS: dict[Access, tuple[Code, ...]] = {
    "anyone": (),
    "key": ("missing_key", "invalid_key", "rate_limited", "storage_unavailable", "forbidden"),
    "optional key": ("storage_unavailable", "forbidden"),
    "session": ("missing_key", "invalid_key", "rate_limited", "storage_unavailable", "forbidden"),
    "admin": ("storage_unavailable", "forbidden"),
    "sign-in link": ("storage_unavailable",),
    "ticket": ("rate_limited", "storage_unavailable"),
    "delete link": ("storage_unavailable",),
    "metrics token": ("invalid_key",),
}
"""Refusals that finding out who asks may end in."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer beside an operation's usual one: when it comes, its body (the schema of JSON, the media type of
    something else, or none) and the headers of its own."""

    when: str
    body: Schema | str | None = None
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of a route: its methods, access, form, answer and faults, and how it is described.

    `run` is the handler's method. `form` has the fields of the query or body by name, `required` those that must be
    there, `bodies` the media types that a body may have: what is no form is the bare bytes. `answer` is the schema of
    the JSON that a success is answered with, or the media type of another answer; `as_text` says what is answered
    where text/plain is accepted instead. `others` are further answers that are no refusals, by status. `faults` are
    refusals of its own, `refusal` the schema of their body where it is not that of all others. `takes` and `gives` name
    the headers of request and success that are not everybody's.

    `id` is its name in client code, `summary` a line, `description` what else there is to know, in Markdown, `example`
    values of the form.
    """

    methods: tuple[str, ...]
    run: Callable[..., Any]
    access: Access = "anyone"
    form: Mapping[str, Schema] = field(default_factory=dict)
    answer: Schema | str = JSON
    faults: tuple[Code, ...] = ()
    id: str = ""
    summary: str = ""
    description: str = ""
    required: tuple[str, ...] = ()
    bodies: tuple[str, ...] = (JSON,)
    example: Mapping[str, Any] = field(default_factory=dict)
    takes: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    as_text: str = ""
    others: Mapping[int, Answer] = field(default_factory=dict)
    refusal: Schema | None = None

    @property
    def has_body(self) -> bool:
        """Whether the form, or the bare bytes, come as the body and not in the query."""
        return BODILESS.isdisjoint(self.methods) and bool(self.form or self.bodies != (JSON,))

    @property
    def refusals(self) -> tuple[Code, ...]:
        """Every refusal that a call may meet: its own, those of whoever asks, and those of any request."""
        return tuple(dict.fromkeys((*OF_ACCESS[self.access], *self.faults, *ANY)))


@dataclass(frozen=True, slots=True)
class Route:
    """A path with its parts in braces (PARTS), its name in metrics and logs, the handler and its operations.

    `headers` are those that each of its answers has, refusals included, and others have not. `pages`: whether browsers
    get pages as answers, refusals included. `has_files`: whether it is on the second origin as well.
    """

    path: str
    name: str
    handler: type
    operations: tuple[Operation, ...]
    headers: tuple[str, ...] = ()
    pages: bool = False
    has_files: bool = False

    by_method: Mapping[str | None, Operation] = field(init=False)

    def __post_init__(self) -> None:
        assert not re.search(r"[()\[\]?*+\\]", self.path), f"{self.path}: a path has its parts in braces"
        found = {method: operation for operation in self.operations for method in operation.methods}
        object.__setattr__(self, "by_method", found)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the path's parts, in order."""
        return tuple(re.findall(r"{(\w+)}", self.path))

    @property
    def pattern(self) -> str:
        """The regular expression that Tornado matches paths with; a group for each part."""
        literals = re.split(r"{\w+}", self.path)
        groups = [f"({PARTS[name]['pattern']})" for name in self.parts]
        return "".join(re.escape(text) + group for text, group in zip(literals, [*groups, ""], strict=True))

    def operation(self, method: str | None) -> Operation | None:
        """What a method does here; None where it is not allowed."""
        return self.by_method.get(method)

    @property
    def methods(self) -> tuple[str, ...]:
        """All methods that are allowed, as Allow tells them."""
        return tuple(sorted(method for operation in self.operations for method in operation.methods))
