"""From the start of the program until it accepts connections, and the memory of server and workers when idle."""

from __future__ import annotations

import time

from bench.figures import Figures, Results
from bench.lab import OURS, Lab
from bench.processes import family, proportional_bytes

HEADLINE, SUBJECT = "listening_s", OURS
IDLE_SECONDS = 1.0


def run(lab: Lab) -> Results:
    """One start a round."""

    def measure(case: str, name: str) -> Figures:
        with lab.contender(name) as target:
            assert target.pid
            time.sleep(IDLE_SECONDS)
            own, *others = family(target.pid)
            return {
                "listening_s": target.seconds,
                "pss_mb": proportional_bytes([own, *others]) / 2**20,
                "pss_server_mb": proportional_bytes([own]) / 2**20,
                "processes": 1 + len(others),
            }

    return lab.rounds({"start": lab.beside(("bare", "express", "fastapi", "thumbor"))}, measure)
