"""Figures of rounds: percentiles, medians, ratios and their spread. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Figures = dict[str, float]
Results = dict[str, dict[str, list[Figures]]]
"""Case -> contender -> one round after the other."""

LESS_IS_BETTER = {"p50_ms", "p99_ms", "p999_ms", "server_us", "workers_us", "pss_mb", "listening_s", "bytes_a_record"}
MORE_IS_BETTER = {"per_second", "goodput"}
ENOUGH_ROUNDS = 3
"""With fewer, nothing is known of the noise."""


class Spread(NamedTuple):
    """The middle of some rounds, and how far they went."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        known = list(values)
        return cls(statistics.median(known), min(known), max(known))

    def __str__(self) -> str:
        return f"{short(self.median)} ({short(self.low)} to {short(self.high)})"


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of some sorted values that `share` of them do not exceed (nearest rank); 0 where there is none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def latencies(seconds: Iterable[float]) -> Figures:
    """p50, p99 and p99.9 of some latencies, in milliseconds."""
    ordered = sorted(seconds)
    shares = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}
    return {name: 1000 * percentile(ordered, share) for name, share in shares.items()}


def spreads(rounds: Sequence[Figures]) -> dict[str, Spread]:
    """Each figure that every round has."""
    names = [name for name in rounds[0] if all(name in figures for figures in rounds)]
    return {name: Spread.of(figures[name] for figures in rounds) for name in names}


def ratio(ours: Sequence[Figures], theirs: Sequence[Figures], figure: str) -> Spread | None:
    """How many times theirs ours is, round by round: what was measured side by side is compared."""
    pairs = [(a[figure], b[figure]) for a, b in zip(ours, theirs, strict=False) if figure in a and b.get(figure)]
    return Spread.of(a / b for a, b in pairs) if pairs else None


@dataclass(frozen=True)
class Verdict:
    """What became of a figure: "better", "worse", "within noise" or "too few rounds"."""

    word: str
    change: float
    """The median after, as a multiple of the one before."""


def judge(before: Sequence[float], after: Sequence[float], *, more_is_better: bool) -> Verdict:
    """Compare two series of rounds. Only where no round of one reaches into the other is there a difference."""
    old, new = Spread.of(before), Spread.of(after)
    change = new.median / old.median if old.median else math.inf if new.median else 1.0
    if min(len(before), len(after)) < ENOUGH_ROUNDS:
        return Verdict("too few rounds", change)
    if new.low <= old.high and old.low <= new.high:
        return Verdict("within noise", change)
    return Verdict("better" if (new.median > old.median) == more_is_better else "worse", change)


def short(value: float) -> str:
    """A figure with as many digits as mean something."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"
