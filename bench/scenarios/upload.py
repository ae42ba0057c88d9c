"""Uploads a second, as many as a few connections can get answered, beside everybody whose software is there."""

from __future__ import annotations

from bench import bodies
from bench.figures import Figures, Results
from bench.lab import OURS, Lab

HEADLINE, SUBJECT = "per_second", OURS
BESIDE = ("no-sync", "bare", "nginx")
PROCESSORS = ("express", "fastapi", "thumbor")
"""They take seconds for a round of the other formats, so there they are measured only when --beside names them."""
AGENTS = ("mcp",)
PHOTOS = ("46 KB", "750 KB", "2.9 MB")


def run(lab: Lab) -> Results:
    """Every size and format, and a realistic mix of them."""

    def measure(case: str, name: str) -> Figures:
        with lab.contender(name) as target:
            return lab.load(target, lab.uploads(target, case), label=f"upload-{case}")

    cases = [*bodies.PICTURES, "mix"]
    return lab.rounds({case: lab.beside(BESIDE + (AGENTS + PROCESSORS) * (case in PHOTOS)) for case in cases}, measure)
