"""Uploads and reads of everybody else while 1,000 clients trickle uploads at 2 KiB a second.

The tricklers are those of 10 accounts, which have 160 places of 256, or of 64, which together can take all.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from bench import sender
from bench.figures import Figures, Results
from bench.lab import OURS, Lab, Target
from bench.processes import started
from bench.request import get
from bench.scenarios.read import uploaded

HEADLINE, SUBJECT = "goodput", "alone"
TRICKLERS, PACE = 1000, 2048
CROWDS = {"alone": 0, "1,000 of 10 accounts": 10, "1,000 of 64 accounts": 64}
PICTURE = "46 KB"


def run(lab: Lab) -> Results:
    """The others have an account of their own; what is refused to them is counted, not an error."""

    def measure(case: str, crowd: str) -> Figures:
        with lab.contender(OURS, 1 + max(CROWDS.values())) as target:
            mine = target.of(target.keys[:1])
            request = lab.uploads(mine, PICTURE) if case == "upload" else get(uploaded(lab, mine, PICTURE))
            with _trickling(target, CROWDS[crowd]):
                work = lambda: sender.load(  # noqa: E731
                    target.url, request, lab.options.connections, lab.options.seconds
                )
                figures = lab.measured(target, work, f"slow-{case}")
            refused = (figures["refused"] + figures["failed"]) / max(1, figures["requests"])
            return {"goodput": figures["per_second"] * (1 - refused), **figures}

    return lab.rounds({case: list(CROWDS) for case in ("upload", "read")}, measure)


@contextlib.contextmanager
def _trickling(target: Target, accounts: int) -> Iterator[None]:
    if not accounts:
        yield
        return
    keys = target.folder / "keys"
    keys.write_text("\n".join(target.keys[1 : 1 + accounts]))
    command = [sys.executable, "-m", "bench.tricklers", target.url, str(TRICKLERS), str(PACE)]
    with started(command, target.folder / "tricklers.log", standard_input=keys):
        yield
