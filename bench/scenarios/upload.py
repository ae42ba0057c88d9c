"""Uploads a second, as many as a few connections can get answered, beside everybody whose software is there."""

from __future__ import annotations

from bench import bodies
from bench.figures import Figures, Results
from bench.lab import OURS, Lab

HEADLINE, SUBJECT = "per_second", OURS
BESIDE = ("no-sync", "bare", "nginx", "express", "fastapi", "thumbor")


def run(lab: Lab) -> Results:
    """Every size and format, and a realistic mix of them."""

    def measure(case: str, name: str) -> Figures:
        with lab.contender(name) as target:
            return lab.load(target, lab.uploads(target, case), label=f"upload-{case}")

    return lab.rounds([*bodies.PICTURES, "mix"], lab.beside(BESIDE), measure)
