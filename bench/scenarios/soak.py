"""Memory over many uploads: 100,000 of 46 KB, a tenth in each round."""

from __future__ import annotations

from bench.figures import Figures, Results
from bench.lab import OURS, Lab, Target

HEADLINE, SUBJECT = "pss_mb", OURS
UPLOADS = 100_000
PICTURE = "46 KB"


def run(lab: Lab) -> Results:
    """One server for all rounds, of which there are ten. `grown` is PSS by that after the first tenth."""
    lab.options.rounds = 10
    with lab.contender(OURS) as target:
        first: list[float] = []

        def measure(case: str, name: str) -> Figures:
            figures = _tenth(lab, target)
            first.append(figures["pss_mb"])
            return {**figures, "grown": figures["pss_mb"] / first[0]}

        return lab.rounds({PICTURE: [OURS]}, measure)


def _tenth(lab: Lab, target: Target) -> Figures:
    request, uploads = lab.uploads(target, PICTURE), 0.0
    while uploads < UPLOADS / 10:
        figures = lab.load(target, request)
        uploads += figures["requests"]
    return {**figures, "requests": uploads}
