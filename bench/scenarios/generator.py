"""Whether the load generators are fast enough: what each gets out of nginx answering at once, one core being theirs."""

from __future__ import annotations

from dataclasses import replace

from bench import bodies, sender, wrk
from bench.figures import Figures, Results
from bench.lab import Lab
from bench.request import Request

HEADLINE, SUBJECT = "per_second", "own"
OPEN_LOOP_RATE = 4000


def run(lab: Lab) -> Results:
    """POSTs of 46 KB that nginx reads and forgets, and a GET; `open` is our sender's open loop at 4,000 a second."""

    def measure(case: str, name: str) -> Figures:
        post = Request("POST", [("/sink", bodies.form("46 KB"))], {"Content-Type": bodies.FORM_TYPE})
        request = post if case == "POST 46 KB" else replace(post, method="GET", variants=[("/sink", b"")])
        connections, seconds = lab.options.connections, lab.options.seconds
        with lab.contender("nginx") as target:
            if name == "wrk":
                work = lambda: wrk.load(target.url, request, connections, seconds)  # noqa: E731
            elif name == "own":
                work = lambda: sender.load(target.url, request, connections, seconds)  # noqa: E731
            else:
                work = lambda: sender.open_loop(target.url, request, OPEN_LOOP_RATE, seconds, polite=True)  # noqa: E731
            figures = lab.measured(target, work)
            return {"per_second": figures.get("goodput", 0.0), **figures}

    senders = [*(["wrk"] if wrk.is_there() else []), "own", "open"]
    return lab.rounds(dict.fromkeys(("POST 46 KB", "GET"), senders), measure)
