"""Types of the route table: routes and their operations, as read by router, Allow, CORS and docs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from iuserver.errors import Code

Schema = dict[str, Any]
Access = Literal["anyone", "key", "optional key", "ticket", "delete link", "metrics token"]
"""Who may call an operation: anyone, the holder of a key, anyone (more with a key), the holder of a link or token."""


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

    def operation(self, method: str | None) -> Operation | None:
        """The operation of a method; None if it is not allowed."""
        return next((operation for operation in self.operations if method in operation.methods), None)

    @property
    def methods(self) -> tuple[str, ...]:
        """All allowed methods, as in the header Allow."""
        return tuple(sorted(method for operation in self.operations for method in operation.methods))
