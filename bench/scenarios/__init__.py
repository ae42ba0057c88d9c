"""The scenarios, one file each: CASES, what stands out (HEADLINE), and `run`, which gives the figures of all rounds."""

from __future__ import annotations

import importlib
from typing import Protocol, cast

from bench.figures import Results
from bench.lab import Lab

NAMES = ("upload", "read", "refuse", "overload", "crowd", "slow", "growth", "startup", "soak", "generator")
BY_URL = ("upload", "read")
"""The others need a server with settings, accounts or records of their own."""


class Scenario(Protocol):
    """A module of this package. Ratios are SUBJECT's HEADLINE to everybody else's."""

    __doc__: str
    HEADLINE: str
    SUBJECT: str

    def run(self, lab: Lab) -> Results:
        """Measure. Raises RuntimeError where the server did not do what is measured."""


def load(name: str) -> Scenario:
    """One of NAMES."""
    return cast(Scenario, importlib.import_module(f"bench.scenarios.{name}"))
