"""More uploads than fit: open-loop arrivals at 0.5, 1, 2 and 4 times the capacity, by polite clients and by others.

Capacity is what 8 connections get answered, one request after the other, in the same run. Polite clients read while
they send and come again when Retry-After says so; the others read when they have sent all, and come again at once.
"""

from __future__ import annotations

import functools
import itertools

from bench import sender
from bench.figures import Figures, Results, Spread
from bench.lab import OURS, WARM_SECONDS, Lab, Target
from bench.request import Request

HEADLINE, SUBJECT = "goodput", OURS
FACTORS = (0.5, 1, 2, 4)
ACCOUNTS = 40
"""As an account has a share of the places, so many are needed to fill them."""
PICTURES = ("46 KB", "750 KB")


def run(lab: Lab) -> Results:
    """`stored_share` tells how many of those who came were stored in the end, latencies are theirs."""
    capacities = functools.cache(lambda picture: _capacity(lab, picture))

    def measure(case: str, name: str) -> Figures:
        picture, manners, factor = case.rsplit(" ", 2)
        rate, polite = capacities(picture) * float(factor), manners == "polite"
        with lab.contender(name, ACCOUNTS) as target:
            request = _warm(lab, target, picture)
            work = lambda: sender.open_loop(target.url, request, rate, lab.options.seconds, polite=polite)  # noqa: E731
            return lab.measured(target, work, f"overload-{case}")

    kinds = itertools.product(PICTURES, ("polite", "rude"), FACTORS)
    cases = [f"{picture} {manners} {factor}" for picture, manners, factor in kinds]
    return lab.rounds({case: [OURS] for case in cases}, measure)


def _capacity(lab: Lab, picture: str) -> float:
    return Spread.of(_once(lab, picture) for _ in range(min(3, lab.options.rounds))).median


def _once(lab: Lab, picture: str) -> float:
    with lab.contender(OURS, ACCOUNTS) as target:
        request = _warm(lab, target, picture)
        return sender.load(target.url, request, lab.options.connections, lab.options.seconds)["per_second"]


def _warm(lab: Lab, target: Target, picture: str) -> Request:
    request = lab.uploads(target, picture)
    sender.load(target.url, request, lab.options.connections, WARM_SECONDS)
    return request
