"""The composition root: from settings to a server that runs; start and stop, in order."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import ipaddress
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets, bind_unix_socket

from handlers.base import Services
from handlers.routes import application
from iuserver.accounts import Accounts
from iuserver.blobs.disk import DiskBlobs
from iuserver.catalog.sqlite import SqliteCatalog
from iuserver.errors import Fault
from iuserver.gate import Guesses, MonthPlaces, TokenBuckets, UploadQueue
from iuserver.imaging.plan import Limits, Rules
from iuserver.imaging.pool import Pool
from iuserver.janitor import Janitor
from iuserver.library import Library
from iuserver.passwords import Passwords
from iuserver.ports import BlobStore, Catalog
from iuserver.records import MB, Door
from iuserver.settings import Settings, SettingsError
from iuserver.tickets import Tickets
from iuserver.uploads import Uploads
from iuserver.viewing import Viewing

Clock = Callable[[], float]

GUESSES = 5
"""Wrong passwords a minute, of one image and address."""


class StartError(Exception):
    """The server cannot start; the text is one line that says why."""


def open_catalog(settings: Settings) -> Catalog:
    """The catalog in the data folder, made where there is none. Raises StartError."""
    folder = Path(settings.server.data)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return SqliteCatalog(folder / "catalog.db")
    except OSError as error:
        raise StartError(f"server.data: {folder}: {error.strerror}") from error
    except Fault as fault:
        raise StartError(f"catalog.url: {folder / 'catalog.db'}: {fault.__cause__}") from fault


def open_blobs(settings: Settings) -> BlobStore:
    """The blob store in the data folder. Raises StartError."""
    folder = Path(settings.server.data) / "blobs"
    try:
        return DiskBlobs(folder, sync=settings.blobs.sync)
    except OSError as error:
        raise StartError(f"blobs.url: {folder}: {error.strerror}") from error


@contextlib.asynccontextmanager
async def opened_library(settings: Settings, clock: Clock = time.time) -> AsyncIterator[Library]:
    """The use case of the library without a server, for commands. Raises StartError."""
    async with contextlib.AsyncExitStack() as stack:
        catalog = open_catalog(settings)
        stack.push_async_callback(catalog.close)
        blobs = open_blobs(settings)
        stack.push_async_callback(blobs.close)
        yield Library(catalog, blobs, await catalog.secret(), clock)


@contextlib.asynccontextmanager
async def opened_janitor(settings: Settings, clock: Clock = time.time) -> AsyncIterator[Janitor]:
    """The janitor without a server, or beside one, for commands. Raises StartError, also where there is no catalog.

    A catalog made on the spot would know no blob, and every picture would be a leftover.
    """
    data = Path(settings.server.data)
    if not (data / "catalog.db").exists():
        raise StartError(f"server.data: there is no catalog in {data}")
    async with opened_library(settings, clock) as library:
        yield janitor_of(library, data, lambda: is_served(data))


def janitor_of(library: Library, data: Path, serving: Callable[[], bool]) -> Janitor:
    """The janitor over what a library works with."""
    return Janitor(library.catalog, library.blobs, library, data / "spool", serving, library.clock)


def is_served(data: Path) -> bool:
    """Whether a server runs on a data folder."""
    try:
        with (data / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def accounts_of(catalog: Catalog, settings: Settings, clock: Clock = time.time) -> Accounts:
    """The use case of accounts over a catalog."""
    limits = settings.limits
    per_minute: dict[Door, int] = {"api": limits.api_per_minute, "mcp": limits.mcp_per_minute}
    buckets = {door: TokenBuckets(rate, clock) for door, rate in per_minute.items()}
    return Accounts(catalog, settings.plan_records(), buckets, clock)


class Server:
    """A whole server. `clock` gives unix seconds: what expiry, months and rates go by."""

    url: str

    def __init__(self, settings: Settings, clock: Clock = time.time) -> None:
        self.settings = settings
        self._clock = clock
        self._data = Path(settings.server.data)
        self._stack = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Open everything, the port last. Raises StartError or SettingsError; then nothing stays open."""
        async with contextlib.AsyncExitStack() as stack:
            self._lock_data(stack)
            self._services = await self._build(stack)
            self._start_janitor(stack)
            self._listen(stack)
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Accept nothing more, let what is being answered finish, close everything in reverse order."""
        self._http.stop()
        self._http.conn_params.no_keep_alive = True  # a connection that is open ends with its next answer
        await self._services.active.ended(self.settings.server.shutdown_seconds)
        await self._stack.aclose()

    @property
    def accounts(self) -> Accounts:
        """The accounts of the running server."""
        return self._services.accounts

    def _lock_data(self, stack: contextlib.AsyncExitStack) -> None:
        try:
            self._data.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context((self._data / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(f"server.data: {self._data} is in use by another server") from None
        except OSError as error:
            raise StartError(f"server.data: {self._data}: {error.strerror}") from error

    async def _build(self, stack: contextlib.AsyncExitStack) -> Services:
        settings = self.settings
        catalog = open_catalog(settings)
        stack.push_async_callback(catalog.close)
        await catalog.void_claims()
        blobs = open_blobs(settings)
        stack.push_async_callback(blobs.close)
        secret = await catalog.secret()
        passwords = Passwords()
        stack.push_async_callback(passwords.close)
        uploads = Uploads(
            catalog=catalog,
            blobs=blobs,
            imaging=await self._start_pool(stack),
            queue=self._upload_queue(),
            months=MonthPlaces(),
            spool_folder=self._empty_spool(),
            hash_password=passwords.hash,
            clock=self._clock,
        )
        return Services(
            accounts=accounts_of(catalog, settings, self._clock),
            uploads=uploads,
            library=Library(catalog, blobs, secret, self._clock),
            tickets=Tickets(catalog, uploads, secret, self._clock),
            viewing=Viewing(catalog, blobs, secret, passwords.verify, Guesses(GUESSES, self._clock), self._clock),
            clock=self._clock,
            public_url=settings.server.public_url,
            mcp_origins=settings.server.mcp_origins,
            trusted_proxies=tuple(ipaddress.ip_network(network) for network in settings.server.trusted_proxies),
            drain_bytes=settings.server.drain_mb * MB,
            drain_seconds=settings.server.drain_seconds,
            max_age=settings.delivery.max_age,
            min_rate=settings.receive.min_rate,
        )

    async def _start_pool(self, stack: contextlib.AsyncExitStack) -> Pool:
        imaging = self.settings.imaging
        limits = Limits(
            max_side=imaging.max_side,
            max_pixels=imaging.max_pixels,
            max_total_pixels=imaging.max_total_pixels,
            max_frames=imaging.max_frames,
            max_scans=imaging.max_scans,
        )
        rules = Rules(limits, bake=imaging.orientation == "bake", max_decode_pixels=imaging.max_decode_pixels)
        pool = Pool(imaging.workers or os.cpu_count() or 1, rules)
        stack.push_async_callback(pool.close)
        try:
            await pool.start()
        except (OSError, RuntimeError, TimeoutError) as error:
            raise StartError(f"imaging.workers: a worker process cannot start: {error}") from error
        return pool

    def _start_janitor(self, stack: contextlib.AsyncExitStack) -> None:
        janitor = janitor_of(self._services.library, self._data, serving=lambda: True)
        task = asyncio.create_task(janitor.run_forever())

        async def end() -> None:
            task.cancel()  # whatever it was at, a crash would have done the same
            await asyncio.wait([task])

        stack.push_async_callback(end)

    def _upload_queue(self) -> UploadQueue:
        receive, queue = self.settings.receive, self.settings.queue
        return UploadQueue(receive.max_uploads, receive.per_account, receive.max_wait, queue.max_jobs, queue.max_mb)

    def _empty_spool(self) -> str:
        """The spool; what is in it now belonged to a server that is no more, or we would not have the lock."""
        folder = self._data / "spool"
        try:
            folder.mkdir(exist_ok=True)
            for leftover in folder.iterdir():
                leftover.unlink()
        except OSError as error:
            raise StartError(f"server.data: {error.filename}: {error.strerror}") from error
        return str(folder)

    def _listen(self, stack: contextlib.AsyncExitStack) -> None:
        self._http = HTTPServer(application(self._services))
        stack.push_async_callback(self._http.close_all_connections)
        stack.callback(self._http.stop)
        sockets = self._bind()
        self._http.add_sockets(sockets)
        self.url = self._url_of(sockets[0])

    def _bind(self) -> list[socket.socket]:
        host, port = self.settings.server.host, self.settings.server.port
        try:
            if host.startswith("unix:"):
                return [_bind_unix(host.removeprefix("unix:"))]
            return bind_sockets(port, host, backlog=1024)
        except socket.gaierror:
            raise SettingsError(f"server.host: {host!r} is no address of this machine") from None
        except OSError as error:
            raise StartError(f"server.port: cannot listen on {host}:{port}: {error.strerror}") from error

    def _url_of(self, listening: socket.socket) -> str:
        host = self.settings.server.host
        if host.startswith("unix:"):
            return host
        return f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"


def _bind_unix(path: str) -> socket.socket:
    """Listen at a path, in place of a socket that nobody listens at any more. Raises OSError."""
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(path) == 0:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    try:
        return bind_unix_socket(path, mode=0o660)
    except ValueError as error:  # something that is no socket stands there
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
