"""Our own load generator, on uvloop: a few busy connections, or arrivals that wait for nobody.

Open loop: every arrival has an intended start, from a Poisson process with a fixed seed, and its latency counts from
there, whatever the server or this program were at. So a server that stalls is charged for everyone who came meanwhile
(no coordinated omission).
"""

from __future__ import annotations

import asyncio
import itertools
import random
import resource
import socket
from collections import Counter
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar

import uvloop

from bench.figures import Figures, latencies, percentile
from bench.processes import address_of
from bench.request import Request

T = TypeVar("T")

GRACE = 20.0
"""Seconds after the end in which arrivals that are under way may still be answered."""
PATIENCE = 120.0
"""The same for a few busy connections, whose every request counts."""
TRIES = 3
"""So often one who does not honour Retry-After sends."""
SENT_AHEAD = 128 * 1024
"""Bytes that are handed to the kernel before the other side takes them. Over loopback it would take all of a body at
once, and so spend the time of the processors that are measured on what a refused client never sends."""
HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """A response: status, the seconds of Retry-After, the bytes of its body if they were asked for."""

    status: int
    retry_after: float
    keeps: bool
    body: bytes


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection with one request at a time. A `deaf` one does not read before all is sent."""

    def __init__(self, deaf: bool = False, keep_body: bool = False) -> None:
        self._deaf = deaf
        self._keep_body = keep_body
        self._future: asyncio.Future[Answer] | None = None
        self._head = b""
        self._missing: int | None = None
        self._body: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        self.transport: asyncio.Transport = transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENT_AHEAD)
        if self._deaf:
            transport.set_write_buffer_limits(high=0)

    def pause_writing(self) -> None:
        if self._deaf:
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._deaf and not self.transport.is_closing():
            self.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        if self._future and not self._future.done():
            self._future.set_exception(error or ConnectionResetError("closed without an answer"))

    async def ask(self, message: bytes) -> Answer:
        """Send a request and return the response. Raises OSError."""
        self._head, self._missing, self._body = b"", None, []
        self._future = asyncio.get_running_loop().create_future()
        self.transport.write(message)
        return await self._future

    def data_received(self, data: bytes) -> None:
        if self._missing is None:
            self._head += data
            head, end, data = self._head.partition(HEAD_END)
            if not end:
                return
            if head.startswith(b"HTTP/1.1 1"):  # 100 Continue
                self._head = b""
                self.data_received(data)
                return
            self._head, self._missing = head.lower(), int(_header(head.lower(), b"content-length") or 0)
        self._missing -= len(data)
        if self._keep_body:
            self._body.append(data)
        if self._missing <= 0 and self._future and not self._future.done():
            self._future.set_result(self._answer())

    def _answer(self) -> Answer:
        retry_after = float(_header(self._head, b"retry-after") or 0)
        keeps = _header(self._head, b"connection") != b"close"
        return Answer(int(self._head[9:12]), retry_after, keeps, b"".join(self._body))


def _header(head: bytes, name: bytes) -> bytes:
    return head.partition(b"\r\n" + name + b":")[2].partition(b"\r\n")[0].strip()


@dataclass
class Client:
    """Connections to one server, opened as they are needed."""

    url: str
    deaf: bool = False
    reuse: bool = True
    keep_body: bool = False
    _idle: list[Connection] = field(default_factory=list)

    async def ask(self, message: bytes) -> Answer:
        """Send a request on a free connection. Raises OSError."""
        connection = await self._free()
        try:
            answer = await connection.ask(message)
        except BaseException:
            connection.transport.abort()
            raise
        if self.reuse and answer.keeps:
            self._idle.append(connection)
        else:
            connection.transport.abort()
        return answer

    async def _free(self) -> Connection:
        while self._idle:
            if not (connection := self._idle.pop()).transport.is_closing():
                return connection
        made = lambda: Connection(self.deaf, self.keep_body)  # noqa: E731
        return (await asyncio.get_running_loop().create_connection(made, *address_of(self.url)))[1]

    def close(self) -> None:
        while self._idle:
            self._idle.pop().transport.abort()


def once(url: str, request: Request) -> Answer:
    """Send one request and return the response with its body. Raises OSError, TimeoutError."""

    async def ask() -> Answer:
        client = Client(url, keep_body=True)
        try:
            return await asyncio.wait_for(client.ask(request.messages(url)[0]), PATIENCE)
        finally:
            client.close()

    return _run(ask())


def load(url: str, request: Request, connections: int, seconds: float, *, reuse: bool = True) -> Figures:
    """What `wrk.load` does, with the statuses of all answers counted; without `reuse` a connection for each."""
    return _run(_load(Client(url, reuse=reuse), itertools.cycle(request.messages(url)), connections, seconds))


async def _load(client: Client, messages: Iterator[bytes], connections: int, seconds: float) -> Figures:
    loop, begun = asyncio.get_running_loop(), monotonic()
    taken: list[float] = []
    statuses: Counter[int | str] = Counter()

    async def one() -> None:
        while (start := monotonic()) < begun + seconds:
            try:
                statuses[(await client.ask(next(messages))).status] += 1
            except OSError:
                statuses["failed"] += 1
            taken.append(monotonic() - start)

    await _ended({loop.create_task(one()) for _ in range(connections)}, seconds + PATIENCE)
    spent = monotonic() - begun
    client.close()
    return {"per_second": len(taken) / spent, "requests": len(taken), **_counted(statuses), **latencies(taken)}


def _counted(statuses: Counter[int | str]) -> Figures:
    refused = sum(times for status, times in statuses.items() if isinstance(status, int) and status >= 400)
    return {"refused": refused, "failed": statuses["failed"]}


@dataclass
class _Arrivals:
    """What became of those who came."""

    came: int = 0
    stored: list[float] = field(default_factory=list)
    in_time: int = 0
    late: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    statuses: Counter[int | str] = field(default_factory=Counter)


def open_loop(url: str, request: Request, rate: float, seconds: float, *, polite: bool) -> Figures:
    """Let `rate` clients a second arrive, for so many seconds, each with one request.

    A polite one reads while it sends and comes again when Retry-After says so, until the end. Any other
    reads when it has sent everything, and comes again at once, TRIES times in all.
    """
    return _run(_open_loop(Client(url, deaf=not polite), request, rate, seconds, polite))


async def _open_loop(client: Client, request: Request, rate: float, seconds: float, polite: bool) -> Figures:
    loop, chance = asyncio.get_running_loop(), random.Random(1)
    messages = itertools.cycle(request.messages(client.url))
    seen, tasks = _Arrivals(), set()
    begun, before = monotonic(), _cpu()
    intended = begun + chance.expovariate(rate)
    while intended < begun + seconds:
        await asyncio.sleep(max(0, intended - monotonic()))  # who is late lets the others have their turn all the same
        seen.came += 1
        arrival = _arrive(client, next(messages), intended, begun + seconds, seen, polite)
        tasks.add(loop.create_task(arrival))
        intended += chance.expovariate(rate)
    busy = (_cpu() - before) / (monotonic() - begun)
    await _ended(tasks, GRACE)
    client.close()
    return {
        "offered": seen.came / seconds,
        "requests": sum(seen.statuses.values()),
        "goodput": seen.in_time / seconds,
        "stored_share": len(seen.stored) / max(1, seen.came),
        **_counted(seen.statuses),
        **latencies(seen.stored),
        "refused_p99_ms": 1000 * percentile(sorted(seen.refusals), 0.99),
        "sent_late_p99_ms": 1000 * percentile(sorted(seen.late), 0.99),
        "generator_busy": busy,
    }


async def _ask(client: Client, message: bytes, since: float, end: float, seen: _Arrivals) -> Answer | None:
    """Send a request and note what became of it; None where it failed."""
    start = monotonic()
    try:
        answer = await client.ask(message)
    except OSError:
        seen.statuses["failed"] += 1
        return None
    seen.statuses[answer.status] += 1
    if answer.status < 400:
        seen.stored.append(monotonic() - since)
        seen.in_time += monotonic() <= end
    else:
        seen.refusals.append(monotonic() - start)
    return answer


async def _arrive(client: Client, message: bytes, intended: float, end: float, seen: _Arrivals, polite: bool) -> None:
    seen.late.append(monotonic() - intended)
    for number in itertools.count(1):
        answer = await _ask(client, message, intended, end, seen)
        if answer is None or answer.status not in (429, 503) or (monotonic() > end if polite else number == TRIES):
            return
        if polite:
            await asyncio.sleep(answer.retry_after * random.uniform(1.0, 1.5))


def crowd(url: str, request: Request, clients: int, seconds: float, honest: Request, *, polite: bool) -> Figures:
    """Let so many clients send one request after the other; meanwhile a polite one sends `honest`, each once answered.

    A polite one reads while it sends and waits as Retry-After says. Any other reads when it has sent everything, and
    goes on at once. Latencies are those of `honest`, which is told as its requests a second, too.
    """
    return _run(_crowd(Client(url, deaf=not polite), request, clients, seconds, honest, polite))


async def _crowd(
    client: Client, request: Request, clients: int, seconds: float, honest: Request, polite: bool
) -> Figures:
    loop, other, end = asyncio.get_running_loop(), Client(client.url), monotonic() + seconds
    sent, asked = _Arrivals(), _Arrivals()
    messages, asking = (itertools.cycle(each.messages(client.url)) for each in (request, honest))
    busy = [loop.create_task(_keep_on(client, messages, end, sent, polite)) for _ in range(clients)]
    await _ended({*busy, loop.create_task(_keep_on(other, asking, end, asked, True))}, seconds + PATIENCE)
    client.close()
    other.close()
    return {
        "requests": sum(sent.statuses.values()),
        "goodput": sent.in_time / seconds,
        **_counted(sent.statuses),
        "honest": asked.in_time / seconds,
        "honest_refused": sum(_counted(asked.statuses).values()),
        **latencies(asked.stored),
    }


async def _keep_on(client: Client, messages: Iterator[bytes], end: float, seen: _Arrivals, polite: bool) -> None:
    """Send one request after the other until the end."""
    while (start := monotonic()) < end:
        answer = await _ask(client, next(messages), start, end, seen)
        if polite and answer and answer.status >= 400:
            await asyncio.sleep(answer.retry_after * random.uniform(1.0, 1.5))


async def _ended(tasks: set[asyncio.Task[None]], seconds: float) -> None:
    """Wait for all, for so long; what is not done by then is given up. Raises what a task raised."""
    done, late = await asyncio.wait(tasks, timeout=seconds) if tasks else (tasks, tasks)
    for task in late:
        task.cancel()
    for task in done:
        task.result()
    await asyncio.gather(*late, return_exceptions=True)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
