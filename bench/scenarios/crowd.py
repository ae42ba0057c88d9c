"""64 clients with large uploads beside 8: what is stored, what is refused, and how one more client fares meanwhile.

That one looks at a small picture, or uploads small ones, each time its last request has been answered.
"""

from __future__ import annotations

from bench import sender
from bench.figures import Figures, Results
from bench.lab import OURS, WARM_SECONDS, Lab
from bench.request import get
from bench.scenarios.read import uploaded

HEADLINE, SUBJECT = "goodput", "64 polite"
ACCOUNTS = 8
CROWDS = {"8 polite": (8, True), SUBJECT: (64, True), "64 rude": (64, False)}
PICTURE, SMALL = "2.9 MB", "46 KB"


def run(lab: Lab) -> Results:
    """Polite clients read while they send and wait as Retry-After says; rude ones do neither."""

    def measure(case: str, name: str) -> Figures:
        clients, polite = CROWDS[name]
        with lab.contender(OURS, ACCOUNTS + 1) as target:
            one, many = target.of(target.keys[:1]), target.of(target.keys[1:])
            honest = lab.uploads(one, SMALL) if case == "and uploads" else get(uploaded(lab, one, SMALL))
            request = lab.uploads(many, PICTURE)
            sender.load(target.url, request, lab.options.connections, WARM_SECONDS)
            work = lambda: sender.crowd(  # noqa: E731
                target.url, request, clients, lab.options.seconds, honest, polite=polite
            )
            return lab.measured(target, work, f"crowd-{name}")

    return lab.rounds({case: list(CROWDS) for case in ("and reads", "and uploads")}, measure)
