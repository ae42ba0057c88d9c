"""Listening: limits connections in all and per address, sheds load before parsing, and closes connections at shutdown.

A connection over a limit gets an error and is closed. While uploads are shed, a new connection whose first bytes begin
an upload gets a 503 before anything is parsed, which costs next to nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from tornado.httputil import HTTPConnection, HTTPMessageDelegate
from tornado.web import Application

from handlers.http.addresses import client_network
from handlers.http.connections import answers
from handlers.http.connections.connection import Connection, Context
from handlers.http.connections.lingering import Lingering
from iuserver.admission.fairness import TickLimiter
from iuserver.errors import Code, Fault

log = logging.getLogger("iuserver")

ACCEPTS_PER_TICK = 4
"""New connections that are read from per tick: with all of them, a tick would take so long that no upload would ever
finish."""
ACCEPTED_A_ROUND = 128
RETRY_SECONDS = 1
"""Pause before the next accept when the process is out of descriptors."""
HEAD_CHUNK = 64 * 1024
"""Bytes that are read at a time until a body has begun: a request's headers, and what has come with them."""
UPLOADS = (b"POST /api/upload ", b"POST /api/upload?")
BUSY = "Upload queue overloaded, retry shortly"


class HttpServer:
    """Serves a Tornado application on listening sockets, with at most `max_connections` (0 = any number), `per_address`
    of them from one address (an IPv6 /64 counts as one) that is not `is_trusted`.

    While `is_shedding`, uploads on new connections are refused before they are parsed, and a connection ends with its
    answer, so that the next request comes on a new one. `refuse` notes such a refusal and returns its Retry-After in
    seconds; `count_refusal` gets the code of a refusal that no handler sees. Bodies are read in chunks of `portion`
    bytes; `idle_seconds` is how long a connection may wait for a request, or take to send its headers.
    """

    def __init__(self, application: Application, *, chunk_size: int = HEAD_CHUNK, idle_seconds: float = 75) -> None:
        self.start_request: Callable[[object, HTTPConnection], HTTPMessageDelegate] = application.start_request
        self.idle_seconds = idle_seconds
        self.max_connections = 0
        self.per_address = 0
        self.connections = 0
        self.refused = 0
        self.is_trusted: Callable[[str], bool] = lambda address: True
        self.is_shedding: Callable[[], bool] = lambda: False
        self.refuse: Callable[[], int] = lambda: 1
        self.body_buffer = memoryview(bytearray(chunk_size))
        self.count_refusal: Callable[[Code], None] = lambda code: None
        self.head_buffer = self.body_buffer[:HEAD_CHUNK]
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self._loop.create_future()
        self.done.set_result(None)
        self._draining = False
        self._closed = False
        self._listening: list[socket.socket] = []
        self._held: Counter[str] = Counter()
        self._open: set[Connection] = set()
        self._emptied = asyncio.Event()
        self._opening: set[asyncio.Task[Any]] = set()
        self._lingering = Lingering()
        self._accepts = TickLimiter(ACCEPTS_PER_TICK)

    def listen(self, sockets: Iterable[socket.socket]) -> None:
        """Accept connections from now on."""
        for listening in sockets:
            listening.setblocking(False)
            self._listening.append(listening)
            self._loop.add_reader(listening, self._accept, listening)

    def drain(self) -> None:
        """Accept no more connections, and close each one after its next response; safe to repeat."""
        self._draining = True
        for listening in self._listening:
            self._loop.remove_reader(listening)
            listening.close()
        self._listening.clear()

    async def close(self) -> None:
        """Drain, and close all connections at once."""
        self.drain()
        self._closed = True
        self._lingering.close()
        if self._opening:
            await asyncio.wait(self._opening)
        for connection in list(self._open):
            connection.abort()
        while self._open:
            await self._emptied.wait()

    def may_stay(self) -> bool:
        """Whether connections are kept for another request."""
        return not (self._draining or self.is_shedding())

    def opened(self, connection: Connection) -> None:
        """Note that a connection can be read from."""
        self._open.add(connection)
        self._emptied.clear()

    def closed(self, connection: Connection) -> None:
        """Note that a connection is no more."""
        self._open.discard(connection)
        self._count(connection.context.client, -1)
        if not self._open:
            self._emptied.set()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTED_A_ROUND):
            try:
                connection, address = listening.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as error:
                log.warning("cannot accept connections: %s", error)
                self._accept_later(listening)
                return
            connection.setblocking(False)
            self._take(connection, address)

    def _accept_later(self, listening: socket.socket) -> None:
        self._loop.remove_reader(listening)
        self._loop.call_later(RETRY_SECONDS, self._accept_again, listening)

    def _accept_again(self, listening: socket.socket) -> None:
        if not self._draining:
            self._loop.add_reader(listening, self._accept, listening)

    def _take(self, connection: socket.socket, address: Any) -> None:
        context = self._context(connection, address)
        retry_after = self._refusal(connection, context.client)
        if retry_after is not None:
            self.refused += 1
            self._lingering.refuse(connection, answers.refusal(Fault("overloaded", BUSY, retry_after=retry_after)))
            return
        self._count(context.client, 1)
        self._accepts.call(lambda: self._serve(connection, context))

    def _context(self, connection: socket.socket, address: Any) -> Context:
        """The origin of a connection. Trusted proxies (they carry many clients) and Unix sockets (they have no address)
        count as no client."""
        if connection.family == socket.AF_UNIX:
            return Context("0.0.0.0", connection.family)  # noqa: S104
        ip = str(address[0])
        return Context(ip, connection.family, "" if self.is_trusted(ip) else client_network(ip))

    def _count(self, client: str, number: int) -> None:
        self.connections += number
        self._held[client] += number
        if not self._held[client]:
            del self._held[client]

    def _refusal(self, connection: socket.socket, client: str) -> int | None:
        """The Retry-After, in seconds, of a connection to be refused unparsed; None: it is served."""
        if self.max_connections and self.connections >= self.max_connections:
            return 5
        if client and self.per_address and self._held[client] >= self.per_address:
            return 5
        return self.refuse() if self.is_shedding() and _is_upload(connection) else None

    def _serve(self, connection: socket.socket, context: Context) -> None:
        if self._closed:
            connection.close()
            self._count(context.client, -1)
            return
        task = self._loop.create_task(self._connect(connection, context))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _connect(self, accepted: socket.socket, context: Context) -> None:
        connection = Connection(self, context)
        try:
            await self._loop.connect_accepted_socket(lambda: connection, accepted)
        except OSError:  # the client has left
            self.closed(connection)
            accepted.close()


def _is_upload(connection: socket.socket) -> bool:
    """Whether a client has begun to send an upload; one that has sent nothing yet is served."""
    with contextlib.suppress(OSError):
        return connection.recv(32, socket.MSG_PEEK).startswith(UPLOADS)
    return False
