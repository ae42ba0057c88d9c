"""Types of the route table: routes and their operations, as read by router, Allow, CORS and docs."""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of a route: its methods, access, form, answer and faults.

    `run` is the handler's method. `form` has the fields of the query or body by name. `answer` is the schema of the
    JSON that a success is answered with, or the media type of another answer. `faults` are refusals of its own.
    """

    methods: tuple[str, ...]
    run: Callable[..., Any]
    access: Access = "anyone"
    form: Mapping[str, Schema] = field(default_factory=dict)
    answer: Schema | str = "application/json"
    faults: tuple[Code, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """A pattern of paths, its name in metrics and logs, the handler and its operations."""

    pattern: str
    name: str
    handler: type
    operations: tuple[Operation, ...]
    has_files: bool = False
    """Whether it is on the second origin as well."""

    by_method: Mapping[str | None, Operation] = field(init=False)

    def __post_init__(self) -> None:
        found = {method: operation for operation in self.operations for method in operation.methods}
        object.__setattr__(self, "by_method", found)

    def operation(self, method: str | None) -> Operation | None:
        """What a method does here; None where it is not allowed."""
        return self.by_method.get(method)

    @property
    def methods(self) -> tuple[str, ...]:
        """All methods that are allowed, as Allow tells them."""
        return tuple(sorted(method for operation in self.operations for method in operation.methods))
