"""What a refusal costs: 401, 413, 429 and 503 to 46 KB uploads, beside the bare handler that takes them all."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import replace

from bench import sender
from bench.figures import Figures, Results
from bench.lab import OURS, Lab, Target
from bench.processes import address_of
from bench.request import Request

HEADLINE, SUBJECT = "per_second", OURS
PICTURE = "46 KB"
TOO_LARGE = 200 * 2**20
SETTINGS: dict[str, dict[str, str]] = {
    "401": {},
    "413": {},
    "429": {"LIMITS_API_PER_MINUTE": "1"},
    "503": {"RECEIVE_PER_ACCOUNT": "1", "RECEIVE_MAX_WAIT": "0", "RECEIVE_MIN_RATE": "0"},
}


def run(lab: Lab) -> Results:
    """Our own sender, as wrk cannot read while it sends. After a 413 each client takes a new connection."""

    def measure(case: str, name: str) -> Figures:
        ours = name == OURS
        with lab.contender(name, settings=SETTINGS[case] if ours else {}) as target, contextlib.ExitStack() as stack:
            request = lab.uploads(target, PICTURE)
            if ours and case == "503":
                stack.enter_context(_one_who_keeps_the_place(target, request))
            if ours:
                request = _refused(request, case)
            reuse = request.declared is None
            work = lambda: sender.load(  # noqa: E731
                target.url, request, lab.options.connections, lab.options.seconds, reuse=reuse
            )
            figures = lab.measured(target, work, f"refuse-{case}")
            if ours and figures["refused"] + figures["failed"] < 0.95 * figures["requests"]:
                raise RuntimeError(f"of {figures['requests']} only {figures['refused']} were refused")
            return figures

    return lab.rounds(dict.fromkeys(SETTINGS, lab.beside(["bare"])), measure)


def _refused(request: Request, case: str) -> Request:
    if case == "401":
        return replace(request, keys=())
    return replace(request, declared=TOO_LARGE) if case == "413" else request


@contextlib.contextmanager
def _one_who_keeps_the_place(target: Target, request: Request) -> Iterator[None]:
    """Half an upload, so that the account has no place for another; here as soon as another is refused."""
    with socket.create_connection(address_of(target.url)) as connection:
        message = request.messages(target.url)[0]
        connection.sendall(message[: len(message) // 2])
        for _ in range(100):
            if sender.once(target.url, request).status == 503:
                break
        yield
