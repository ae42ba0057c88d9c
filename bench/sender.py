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
from collections import Counter
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import uvloop

from bench.figures import Figures, latencies, percentile
from bench.request import Request

T = TypeVar("T")

GRACE = 20.0
"""Seconds after the end in which what is under way may still be answered."""
TRIES = 3
"""So often one who does not honour Retry-After sends."""
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
        if self._deaf:
            transport.set_write_buffer_limits(high=0)

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        if self._future and not self._future.done():
            self._future.set_exception(error or ConnectionResetError("closed without an answer"))

    async def ask(self, message: bytes) -> Answer:
        """Send a request and return the response. Raises OSError."""
        if self.transport.is_closing():
            raise ConnectionResetError("closed")
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
        connection = self._idle.pop() if self._idle else await self._open()
        while connection.transport.is_closing():
            connection = self._idle.pop() if self._idle else await self._open()
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

    async def _open(self) -> Connection:
        address = urlsplit(self.url)
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(self.deaf, self.keep_body), address.hostname, address.port
        )
        return connection

    def close(self) -> None:
        while self._idle:
            self._idle.pop().transport.abort()


def once(url: str, request: Request) -> Answer:
    """Send one request and return the response with its body. Raises OSError, TimeoutError."""

    async def ask() -> Answer:
        client = Client(url, keep_body=True)
        try:
            return await asyncio.wait_for(client.ask(request.messages(url)[0]), GRACE)
        finally:
            client.close()

    return _run(ask())


def load(url: str, request: Request, connections: int, seconds: float, *, reuse: bool = True) -> Figures:
    """What `wrk.load` does, with the statuses of all answers counted; without `reuse` a connection for each."""
    return _run(_load(Client(url, reuse=reuse), itertools.cycle(request.messages(url)), connections, seconds))


async def _load(client: Client, messages: Iterator[bytes], connections: int, seconds: float) -> Figures:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    taken: list[float] = []
    statuses: Counter[int | str] = Counter()

    async def one() -> None:
        while (start := loop.time()) < begun + seconds:
            try:
                statuses[(await client.ask(next(messages))).status] += 1
            except OSError:
                statuses["failed"] += 1
            taken.append(loop.time() - start)

    await _ended({loop.create_task(one()) for _ in range(connections)}, seconds + GRACE)
    spent = loop.time() - begun
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
    statuses: Counter[int | str] = field(default_factory=Counter)


def open_loop(url: str, request: Request, rate: float, seconds: float, *, polite: bool) -> Figures:
    """Let `rate` clients a second arrive, for so many seconds, each with one request.

    A polite one reads while it sends and comes again when Retry-After says so, until the end and GRACE. Any other
    reads when it has sent everything, and comes again at once, TRIES times in all.
    """
    return _run(_open_loop(Client(url, deaf=not polite), request, rate, seconds, polite))


async def _open_loop(client: Client, request: Request, rate: float, seconds: float, polite: bool) -> Figures:
    loop, chance = asyncio.get_running_loop(), random.Random(1)
    messages = itertools.cycle(request.messages(client.url))
    seen, tasks = _Arrivals(), set()
    begun, before = loop.time(), _cpu()
    intended = begun + chance.expovariate(rate)
    while intended < begun + seconds:
        if (pause := intended - loop.time()) > 0:
            await asyncio.sleep(pause)
        seen.came += 1
        end = begun + seconds
        tasks.add(loop.create_task(_arrive(client, next(messages), intended, end, seen, polite)))
        intended += chance.expovariate(rate)
    await _ended(tasks, GRACE)
    busy = (_cpu() - before) / (loop.time() - begun)
    client.close()
    return {
        "offered": seen.came / seconds,
        "requests": sum(seen.statuses.values()),
        "goodput": seen.in_time / seconds,
        "stored_share": len(seen.stored) / max(1, seen.came),
        **_counted(seen.statuses),
        **latencies(seen.stored),
        "sent_late_p99_ms": 1000 * percentile(sorted(seen.late), 0.99),
        "generator_busy": busy,
    }


async def _arrive(client: Client, message: bytes, intended: float, end: float, seen: _Arrivals, polite: bool) -> None:
    loop = asyncio.get_running_loop()
    seen.late.append(loop.time() - intended)
    for number in itertools.count(1):
        try:
            answer = await client.ask(message)
        except OSError:
            seen.statuses["failed"] += 1
            return
        seen.statuses[answer.status] += 1
        if answer.status < 400:
            seen.stored.append(loop.time() - intended)
            seen.in_time += loop.time() <= end
            return
        if answer.status not in (429, 503) or loop.time() > end or (not polite and number == TRIES):
            return
        if polite:
            await asyncio.sleep(answer.retry_after * random.uniform(1.0, 1.5))


async def _ended(tasks: set[asyncio.Task[None]], timeout: float) -> None:
    """Wait for all, for so long; what is not done by then is given up. Raises what a task raised."""
    if not tasks:
        return
    done, late = await asyncio.wait(tasks, timeout=timeout)
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
