"""The composition root: builds a server from settings, starts it and stops it, in order."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import fcntl
import ipaddress
import logging
import math
import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO, cast
from urllib.parse import urlsplit

from tornado.netutil import bind_sockets, bind_unix_socket

from handlers.http.connections.server import HttpServer
from handlers.http.services import HttpOptions, Services
from handlers.routes import OPERATORS_ROUTES, application
from iuserver.accounts import Accounts
from iuserver.admin import Admin
from iuserver.admission.attempts import AttemptLimiter
from iuserver.admission.queue import Bounds, UploadQueue
from iuserver.admission.quota import QuotaReservations
from iuserver.admission.rate import TokenBuckets
from iuserver.audit_log import AuditLog
from iuserver.backends import (
    Clock,
    StartError,
    files_of,
    group_of,
    open_blobs,
    open_catalog,
    presigns_of,
    upload_store,
    writer_of,
)
from iuserver.editing import Editing
from iuserver.errors import Fault
from iuserver.history import History, Now
from iuserver.imaging.plan import Limits, Rules
from iuserver.imaging.pool import Pool
from iuserver.janitor import Janitor, Report
from iuserver.last_used import LastUsed
from iuserver.library import Library
from iuserver.metrics import Metrics
from iuserver.moderation import Moderation
from iuserver.passwords import Passwords
from iuserver.permissions import FILE, FOLDER, Protection
from iuserver.ports import BlobStore, StoresUploads, WholeCatalog
from iuserver.records import MB, Surface
from iuserver.settings import AccountsSettings, ServerSettings, Settings, SettingsError
from iuserver.sign_in import SignIn
from iuserver.sign_up import Mode, SignUp
from iuserver.thumbnails import Thumbnails
from iuserver.tickets import Tickets
from iuserver.uploads import Uploads
from iuserver.viewing import Viewing
from iuserver.writer.client import WriterProcess

log = logging.getLogger("iuserver")

CHUNK = 256 * 1024
"""Bytes of a body that are read and passed on at a time. Each chunk costs about as much as copying 100 KB."""
PERMITS_PER_WORKER = 4
"""In-flight jobs per worker: one running and three prefetched, so that no worker waits for the event loop."""
IDLE_SECONDS = 75
"""How long a connection may wait for a request, or take to send its headers."""
ARRIVAL_SECONDS = 0.2
"""How long a server that stops waits for a request on a connection that it has accepted: its client has sent it, and
would have to guess what became of it."""
READY_SECONDS = 3
"""Timeout of a backend's answer, after which /readyz counts it as unavailable."""
PROTECT_SECONDS = 2.0
"""How long the start waits for file modes in the data folder to be repaired; the rest is done in the background."""
ATTEMPTS_PER_MINUTE = 5
"""Wrong passwords per minute for one image from one address."""
ATTEMPTS_PER_IMAGE = 60
"""Wrong passwords per minute for one image from all addresses."""
VIEWERS_LANE = (64, 8)
"""Passwords of viewers that wait to be checked, and those from one address: 1.7 and 0.2 seconds' work."""
SIGN_IN_LANE = (64, 8)
"""Passwords of accounts that wait to be checked or hashed, and those from one network."""
SIGN_INS_PER_ACCOUNT = 5
"""Wrong passwords per minute for one account from one network."""
SIGN_INS_PER_NETWORK = 20
"""Wrong passwords per minute for all accounts from one network."""
SIGN_UPS_PER_NETWORK = 20
"""Attempts per minute to make an account from one network."""
MINUTE = 60.0
UPLOADS_LANE = (128, 64)
"""Passwords of uploads that wait to be hashed, and those of one account: as many as the upload queue lets through."""


@contextlib.asynccontextmanager
async def opened_library(settings: Settings, clock: Clock = time.time, *, make: bool = True) -> AsyncIterator[Library]:
    """The use case of the library without a server, for commands. Raises StartError."""
    async with contextlib.AsyncExitStack() as stack:
        catalog = await open_catalog(settings, clock, make=make)
        stack.push_async_callback(catalog.close)
        blobs = await open_blobs(settings)
        stack.push_async_callback(blobs.close)
        yield Library(catalog, blobs, await catalog.secret(), clock)


@contextlib.asynccontextmanager
async def opened_janitor(settings: Settings, clock: Clock = time.time) -> AsyncIterator[Janitor]:
    """The janitor without a server, or beside one, for commands. Raises StartError, also where there is no catalog.

    A catalog made on the spot would know no blob, and every picture would be a leftover.
    """
    data = Path(settings.server.data)
    async with opened_library(settings, clock, make=False) as library:
        yield janitor_of(library, data, lambda: is_served(data), settings.accounts.session_days)


@contextlib.asynccontextmanager
async def opened_moderation(settings: Settings) -> AsyncIterator[tuple[Moderation, Library]]:
    """The blocklist without a server, with a worker that looks at pictures, and the library. Raises StartError."""
    async with opened_library(settings) as library, contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        pool = await started_pool(settings, 1, folder, stack, background=True)
        yield Moderation(library.catalog, library.blobs, pool, folder, library.clock), library


def limits_of(settings: Settings) -> Limits:
    """What a picture may have at most."""
    imaging = settings.imaging
    return Limits(
        max_side=imaging.max_side,
        max_pixels=imaging.max_pixels,
        max_total_pixels=imaging.max_total_pixels,
        max_frames=imaging.max_frames,
        max_scans=imaging.max_scans,
    )


async def started_pool(
    settings: Settings, workers: int, spool: str, stack: contextlib.AsyncExitStack, *, background: bool = False
) -> Pool:
    """Workers that parse images by the settings' rules, closed with the stack. Raises StartError."""
    imaging = settings.imaging
    rules = Rules(
        limits_of(settings),
        bake=imaging.orientation == "bake",
        max_decode_pixels=imaging.max_decode_pixels,
        hdr=imaging.hdr == "keep",
    )
    pool = Pool(workers, rules, spool, background=background)
    stack.push_async_callback(pool.close)
    try:
        await pool.start()
    except (OSError, RuntimeError, TimeoutError) as error:
        raise StartError(f"imaging.workers: a worker process cannot start: {error}") from error
    return pool


def janitor_of(
    library: Library, data: Path, serving: Callable[[], bool], session_days: int = AccountsSettings().session_days
) -> Janitor:
    """The janitor over what a library works with."""
    return Janitor(library.catalog, library.blobs, library, data / "spool", serving, library.clock, session_days)


@contextlib.contextmanager
def locked(data: Path) -> Iterator[str]:
    """Hold a data folder, which is made where there is none; gives the name of its server. Raises StartError."""
    with contextlib.ExitStack() as stack:
        try:
            data.mkdir(FOLDER, parents=True, exist_ok=True)
            lock = stack.enter_context(_opened_lock(data / "lock"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            name = _name_in(lock)
        except BlockingIOError:
            raise StartError(f"server.data: {data} is in use by another server") from None
        except OSError as error:
            raise StartError(f"server.data: {data}: {error.strerror}") from error
        yield name


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


def per_minute(settings: Settings) -> dict[Surface, int]:
    """The calls a minute that an account has on each surface."""
    limits = settings.limits
    return {"api": limits.api_per_minute, "mcp": limits.mcp_per_minute, "web": limits.web_per_minute}


def accounts_of(
    catalog: WholeCatalog,
    settings: Settings,
    clock: Clock = time.time,
    audit: AuditLog | None = None,
    last_used: LastUsed | None = None,
) -> Accounts:
    """The use case of accounts over a catalog."""
    buckets = {surface: TokenBuckets(rate, clock) for surface, rate in per_minute(settings).items()}
    audit, last_used = audit or AuditLog(catalog, clock), last_used or LastUsed(catalog, clock)
    return Accounts(catalog, settings.plan_records(), buckets, audit, last_used, clock)


def http_options(settings: Settings) -> HttpOptions:
    """What the settings say about HTTP."""
    server = settings.server
    return HttpOptions(
        public_url=server.public_url,
        hosts=tuple(name.lower() for name in server.hosts),
        mcp_origins=server.mcp_origins,
        abuse_contact=server.abuse_contact,
        trusted_proxies=tuple(ipaddress.ip_network(network) for network in server.trusted_proxies),
        drain_bytes=server.drain_mb * MB,
        drain_seconds=server.drain_seconds,
        min_rate=settings.receive.min_rate,
        max_age=settings.delivery.max_age,
        presign_seconds=settings.delivery.presign,
        metrics_token=settings.metrics.token,
        files_url=_files_origin(server),
        upgrade_contact=settings.accounts.upgrade_contact,
    )


def _files_origin(server: ServerSettings) -> str:
    """The origin of ungated pictures, as browsers write one. Raises SettingsError where it is that of the pages, which
    would then be nowhere."""
    files, pages = (_origin(url) for url in (server.files_url, server.public_url))
    if files and files == pages:
        raise SettingsError("server.files_url: must be another origin than that of server.public_url")
    return files


def _origin(url: str) -> str:
    """The origin of a URL (RFC 6454, section 6.2), without the port that its scheme implies."""
    parts = urlsplit(url.lower())
    return f"{parts.scheme}://{parts.netloc.removesuffix(':443' if parts.scheme == 'https' else ':80')}" if url else ""


class Server:
    """A whole server. `clock` gives unix seconds: what expiry, months and rates go by. It listens on `sockets`, if any,
    in place of what the settings say."""

    url: str
    metrics_url: str

    def __init__(self, settings: Settings, clock: Clock = time.time, sockets: Sequence[socket.socket] = ()) -> None:
        self.settings = settings
        self._sockets = sockets
        self._clock = clock
        self._data = Path(settings.server.data)
        self._stack = contextlib.AsyncExitStack()
        self._stopping = False

    async def start(self) -> None:
        """Open everything, the port last. Raises StartError or SettingsError; then nothing stays open."""
        async with contextlib.AsyncExitStack() as stack:
            self._node = stack.enter_context(locked(self._data))
            self._services = await self._build(stack)
            await self._protect_data(stack)
            if not self.settings.server.read_only:
                self._start_janitor(stack)
            self._start_minutes(stack)
            self._listen(stack)
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Accept nothing more, let what is being answered finish, close everything in reverse order."""
        self._stopping = True
        self._http.drain()
        await self._let_finish()
        await self._stack.aclose()

    async def _let_finish(self) -> None:
        """Wait for what is being answered, and for requests that are on their way on connections that are open."""
        active, end = self._services.active, time.monotonic() + self.settings.server.shutdown_seconds
        begun = -1
        while active.begun != begun and time.monotonic() < end:
            await active.ended(end - time.monotonic())
            if not self._http.connections:
                return
            begun = active.begun
            await asyncio.sleep(ARRIVAL_SECONDS)

    def reload(self, settings: Settings) -> None:
        """Apply new plans and limits; every other setting stays as it was at the start."""
        self._services.accounts.set_rules(settings.plan_records(), per_minute(settings))

    @property
    def accounts(self) -> Accounts:
        """The accounts of the running server."""
        return self._services.accounts

    async def _protect_data(self, stack: contextlib.AsyncExitStack) -> None:
        """Close the data folder to other users. Where there are many blobs, they are repaired while the server runs."""
        protection = Protection(self._data, group_of(self.settings))
        protecting = asyncio.create_task(asyncio.to_thread(protection.apply))
        stack.push_async_callback(asyncio.wait, [protecting])
        stack.callback(protection.stop)
        done, _ = await asyncio.wait([protecting], timeout=PROTECT_SECONDS)
        for task in done:
            task.result()  # a bug is raised

    async def _build(self, stack: contextlib.AsyncExitStack) -> Services:
        settings = self.settings
        catalog, blobs, store = await self._open_stores(stack)
        secret = await catalog.secret()
        viewers = Passwords(*VIEWERS_LANE)
        stack.push_async_callback(viewers.close)
        attempts = AttemptLimiter(ATTEMPTS_PER_MINUTE, ATTEMPTS_PER_IMAGE, self._clock)
        uploads, moderation = await self._build_uploads(catalog, blobs, store, stack)
        thumbnails = await self._build_thumbnails(uploads, blobs, stack)
        library = Library(catalog, blobs, secret, self._clock)
        audit, last_used = AuditLog(catalog, self._clock), LastUsed(catalog, self._clock)
        accounts = accounts_of(catalog, settings, self._clock, audit, last_used)
        sign_in = self._sign_in(accounts, audit, last_used, stack)
        mode = cast(Mode, settings.accounts.sign_up)  # which the settings have checked
        return Services(
            accounts=accounts,
            uploads=uploads,
            library=library,
            editing=Editing(library, uploads.hash_password),
            tickets=Tickets(catalog, uploads, secret, self._clock),
            viewing=Viewing(catalog, blobs, secret, viewers.verify, attempts, self._clock),
            thumbnails=thumbnails,
            moderation=moderation,
            metrics=uploads.metrics,
            http=http_options(settings),
            clock=self._clock,
            ready=self._ready,
            picture_limits=dataclasses.asdict(limits_of(settings)),
            sign_in=sign_in,
            sign_up=SignUp(mode, catalog, sign_in, TokenBuckets(SIGN_UPS_PER_NETWORK, self._clock), self._clock),
            admin=Admin(catalog, accounts, library, moderation, audit, self._clock),
            history=History(uploads.metrics.totals, lambda: self._look(uploads), self._clock),
            presigns=presigns_of(blobs, settings),
            files=files_of(blobs, settings),
        )

    async def _open_stores(self, stack: contextlib.AsyncExitStack) -> tuple[WholeCatalog, BlobStore, StoresUploads]:
        settings = self.settings
        writer = writer_of(settings)
        catalog = self._catalog = await open_catalog(settings, self._clock, self._node, writer=writer)
        stack.push_async_callback(catalog.close)
        blobs = await open_blobs(settings, writer)
        stack.push_async_callback(blobs.close)
        if writer:
            await _start(writer, stack)
        if not settings.server.read_only:
            await catalog.void_claims()
        return catalog, blobs, upload_store(catalog, blobs, writer)

    def _sign_in(
        self,
        accounts: Accounts,
        audit: AuditLog,
        last_used: LastUsed,
        stack: contextlib.AsyncExitStack,
    ) -> SignIn:
        passwords = Passwords(*SIGN_IN_LANE)
        stack.push_async_callback(passwords.close)
        attempts = AttemptLimiter(SIGN_INS_PER_ACCOUNT, SIGN_INS_PER_NETWORK, self._clock, first_is_free=False)
        return SignIn(
            catalog=self._catalog,
            accounts=accounts,
            hash=passwords.hash,
            verify=passwords.verify,
            attempts=attempts,
            audit=audit,
            last_used=last_used,
            session_days=self.settings.accounts.session_days,
            clock=self._clock,
        )

    async def _look(self, uploads: Uploads) -> Now:
        """What the status page shows of this moment."""
        blobs = self.settings.blobs.url
        return Now(
            workers=min(len(uploads.imaging.pids), self._workers()),  # one more waits to replace one
            workers_wanted=self._workers(),
            queue=uploads.queue.working,
            queue_limit=self.settings.queue.max_jobs,
            stored_bytes=await self._catalog.all_stored_bytes(),
            disk_bytes=shutil.disk_usage(self._data).total if blobs == "disk:" else None,
        )

    async def _build_uploads(
        self, catalog: WholeCatalog, blobs: BlobStore, store: StoresUploads, stack: contextlib.AsyncExitStack
    ) -> tuple[Uploads, Moderation]:
        passwords = Passwords(*UPLOADS_LANE)
        stack.push_async_callback(passwords.close)
        metrics, queue = Metrics(), self._upload_queue()
        spool = self._new_spool(stack)
        pool = await started_pool(self.settings, self._workers(), spool, stack)
        _add_gauges(metrics, queue, pool)
        moderation = Moderation(catalog, blobs, pool, spool, self._clock, self.settings.moderation.distance)
        uploads = Uploads(
            catalog=catalog,
            store=store,
            imaging=pool,
            queue=queue,
            months=QuotaReservations(),
            spool_folder=spool,
            hash_password=passwords.hash,
            verify_password=passwords.verify,
            check_blocked=moderation.check,
            metrics=metrics,
            clock=self._clock,
            read_only=self.settings.server.read_only,
        )
        return uploads, moderation

    async def _build_thumbnails(
        self, uploads: Uploads, blobs: BlobStore, stack: contextlib.AsyncExitStack
    ) -> Thumbnails:
        keep, spool = not self.settings.server.read_only, uploads.spool_folder
        pool = await started_pool(self.settings, self._workers(), spool, stack, background=True)
        thumbnails = Thumbnails(uploads.catalog, blobs, pool, spool, keep)
        stack.push_async_callback(thumbnails.close)
        uploads.metrics.gauge("thumbnails", "Thumbnails being made or read", lambda: thumbnails.asked)
        return thumbnails

    def _start_janitor(self, stack: contextlib.AsyncExitStack) -> None:
        days = self.settings.accounts.session_days
        janitor = janitor_of(self._services.library, self._data, lambda: True, days)
        janitor.observe = self._count_swept
        janitor.note_failure = self._services.metrics.step_failed
        task = asyncio.create_task(janitor.run_forever())

        async def end() -> None:
            task.cancel()  # whatever it was at, a crash would have done the same
            await asyncio.wait([task])

        stack.push_async_callback(end)

    def _start_minutes(self, stack: contextlib.AsyncExitStack) -> None:
        """Each minute: take a sample, and write when keys and sessions were used; that also at the end."""

        async def minutes() -> None:
            while True:
                await asyncio.sleep(MINUTE)
                await self._attempt_each_minute(self._services.history.sample())
                await self._note_uses()

        task = asyncio.create_task(minutes())

        async def end() -> None:
            task.cancel()
            await asyncio.wait([task])
            await self._note_uses()

        stack.push_async_callback(end)

    async def _note_uses(self) -> None:
        if not self.settings.server.read_only:
            await self._attempt_each_minute(self._services.sign_in.last_used.flush())

    async def _attempt_each_minute(self, work: Awaitable[None]) -> None:
        """Do what can as well be done a minute later, or not at all."""
        try:
            await work
        except Fault as fault:
            log.warning("not done this minute: %s", fault.message)

    def _count_swept(self, report: Report) -> None:
        for kind, number in dataclasses.asdict(report).items():
            if kind != "failed":  # that has a counter of its own, by step
                self._services.metrics.swept(kind, number)

    def _upload_queue(self) -> UploadQueue:
        receive, queue = self.settings.receive, self.settings.queue
        return UploadQueue(
            Bounds(
                max_uploads=receive.max_uploads,
                per_account=receive.per_account,
                receive_wait=receive.max_wait,
                max_jobs=queue.max_jobs,
                max_bytes=queue.max_mb * MB,
                max_wait=queue.max_wait or math.inf,
                share=queue.per_account_share or 1,
                worker_permits=PERMITS_PER_WORKER * self._workers(),
            )
        )

    def _workers(self) -> int:
        return self.settings.imaging.workers or os.cpu_count() or 1

    def _new_spool(self, stack: contextlib.AsyncExitStack) -> str:
        """An empty spool. What is in the old one belonged to a server that is no more, or we would not have the lock;
        it may be much, so a thread removes it."""
        folder = self._data / "spool"
        try:
            if folder.is_dir():
                folder.rename(self._data / f"spool.{secrets.token_hex(4)}")
            folder.mkdir(FOLDER)
        except OSError as error:
            raise StartError(f"server.data: {folder}: {error.strerror}") from error
        removing = asyncio.create_task(asyncio.to_thread(_remove_all, list(self._data.glob("spool.*"))))
        stack.push_async_callback(asyncio.wait, [removing])
        return str(folder)

    def _listen(self, stack: contextlib.AsyncExitStack) -> None:
        self._listen_for_operators(stack)
        self._http = HttpServer(application(self._services), chunk_size=CHUNK, idle_seconds=IDLE_SECONDS)
        self._http.max_connections, self._http.per_address = self._bounds_of_connections()
        self._http.is_trusted = self._services.http.trusts
        self._http.is_shedding = self._services.uploads.queue.is_shedding
        self._http.refuse = self._services.uploads.queue.refuse
        self._http.count_refusal = self._services.metrics.refusal
        stack.push_async_callback(self._http.close)
        sockets = self._bind()
        self._http.listen(sockets)
        self.url = _url_of(sockets[0], "" if self._sockets else self.settings.server.host)
        self._services.metrics.gauge("connections", "Connections that are open", lambda: self._http.connections)
        self._services.metrics.gauge("shed", "Connections refused before they were parsed", lambda: self._http.refused)

    def _bounds_of_connections(self) -> tuple[int, int]:
        """How many there may be, and how many from one address; 0 = any number."""
        most, share = self.settings.server.max_connections, self.settings.server.per_address_share
        return most, math.ceil(most * share)

    def _listen_for_operators(self, stack: contextlib.AsyncExitStack) -> None:
        if not self.settings.metrics.listen:
            return
        host, _, port = self.settings.metrics.listen.rpartition(":")
        http = HttpServer(application(self._services, OPERATORS_ROUTES), idle_seconds=IDLE_SECONDS)
        try:
            sockets = bind_sockets(int(port), host.strip("[]"))
        except OSError as error:
            raise StartError(f"metrics.listen: cannot listen on {host}:{port}: {error.strerror}") from error
        http.listen(sockets)
        self.metrics_url = f"http://{host}:{sockets[0].getsockname()[1]}/metrics"
        stack.push_async_callback(http.close)

    async def _ready(self) -> dict[str, bool]:
        """What an upload needs, and whether it is there."""
        uploads = self._services.uploads
        catalog, blobs = await asyncio.gather(
            _answers(uploads.catalog.image("")), _answers(self._services.library.blobs.size("0" * 32))
        )
        return {
            "catalog": catalog,
            "blobs": blobs,
            "queue": not uploads.queue.full,
            "workers": uploads.imaging.healthy,
            "accepting": not self._stopping,
        }

    def _bind(self) -> list[socket.socket]:
        if self._sockets:
            return list(self._sockets)
        host, port = self.settings.server.host, self.settings.server.port
        try:
            if host.startswith("unix:"):
                return [_bind_unix(host.removeprefix("unix:"))]
            return bind_sockets(port, host, backlog=1024)
        except socket.gaierror:
            raise SettingsError(f"server.host: {host!r} is no address of this machine") from None
        except OSError as error:
            raise StartError(f"server.port: cannot listen on {host}:{port}: {error.strerror}") from error


def _url_of(listening: socket.socket, host: str) -> str:
    """Where a socket can be reached that listens on a host of the settings, or was passed on (""): then by its own."""
    if listening.family == socket.AF_UNIX:
        return f"unix:{listening.getsockname()}"
    own, port, *_ = listening.getsockname()
    host = host or own
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def _start(writer: WriterProcess, stack: contextlib.AsyncExitStack) -> None:
    try:
        await writer.start()
    except (OSError, TimeoutError) as error:
        raise StartError(f"server.data: the writer process cannot start: {error}") from error
    stack.push_async_callback(writer.close)


def _remove_all(folders: list[Path]) -> None:
    """Remove folders of files; what cannot be removed is tried again at the next start, what is no file stays."""
    for folder in folders:
        for file in folder.iterdir():
            with contextlib.suppress(OSError):
                file.unlink()
        with contextlib.suppress(OSError):
            folder.rmdir()


def _add_gauges(metrics: Metrics, queue: UploadQueue, pool: Pool) -> None:
    metrics.gauge("receiving", "Bodies being received", lambda: queue.receiving)
    metrics.gauge("waiting", "Callers that wait for a place to send", lambda: queue.waiting)
    metrics.gauge("working", "Received bodies on their way through a worker", lambda: queue.working)
    metrics.gauge("workers", "Worker processes", lambda: len(pool.pids))
    metrics.gauge("workers_busy", "Worker processes that have a job", lambda: len(pool.busy_pids))


async def _answers(work: Awaitable[object]) -> bool:
    """Whether a backend does what it is asked, in time; that there is no such thing is an answer."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            await work
    except TimeoutError:
        return False
    except Fault as fault:
        return fault.code == "not_found"
    return True


def _opened_lock(path: Path) -> TextIO:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE), "a+")


def _name_in(lock: TextIO) -> str:
    """What the server on this data folder calls itself, from its first start on: the lock holds it."""
    lock.seek(0)
    name = lock.read()
    if not name:
        name = secrets.token_hex(8)
        lock.write(name)
        lock.flush()
    return name


def _bind_unix(path: str) -> socket.socket:
    """Listen at a path, in place of a socket that nobody listens at any more. Raises OSError."""
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(path) == 0:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    try:
        return bind_unix_socket(path, mode=0o660)
    except ValueError as error:  # something that is no socket stands there
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
