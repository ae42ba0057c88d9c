"""Main program of the writer process: threads that each take a request, run it and send the result.

Run as `python -m iuserver.writer.process CATALOG BLOBS SYNC GROUP` with the server's socket as standard input. CATALOG
and BLOBS are paths, or empty where the server keeps them elsewhere; GROUP is the id of the group that may read blobs,
or empty. It exits when the server does, even after kill -9.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from iuserver.blobs.disk import SYNC_THREADS, DiskBlobs
from iuserver.catalog.sqlite import SqliteCatalog
from iuserver.errors import Fault
from iuserver.storing import BlobThenRecord
from iuserver.writer.wire import LARGEST, READY, packet, parts_of

Stores = dict[str, SqliteCatalog | DiskBlobs | BlobThenRecord]


def main(catalog: str, blobs: str, sync: str, group: str) -> None:
    """Serve requests from standard input until the server closes its end or dies."""
    connection = socket.socket(fileno=0)
    stores = _stores(
        SqliteCatalog(Path(catalog), in_place=True) if catalog else None,
        DiskBlobs(Path(blobs), sync == "sync", in_place=True, group=int(group) if group else None) if blobs else None,
    )
    connection.send(READY)
    threading.excepthook = _end
    threads = [threading.Thread(target=serve, args=(connection, stores)) for _ in range(SYNC_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _stores(catalog: SqliteCatalog | None, blobs: DiskBlobs | None) -> Stores:
    """What is written here, by the names that requests have for it."""
    uploads = BlobThenRecord(blobs, catalog) if catalog and blobs else None
    named = {"catalog": catalog, "blobs": blobs, "uploads": uploads}
    return {name: store for name, store in named.items() if store}


def serve(connection: socket.socket, stores: Stores) -> None:
    """Serve one request after the other, until the server is gone."""
    with contextlib.suppress(ConnectionError):
        while question := connection.recv(LARGEST):
            number, *asked = parts_of(question)
            connection.send(packet(number, *answer(stores, *asked)))


def answer(
    stores: Stores, owner: str, method: str, arguments: tuple[Any, ...], named: dict[str, Any]
) -> tuple[str, Any]:
    """Run a request. Returns "done" with its result, "fault" with the fault and its cause, or "error" with a bug's
    traceback."""
    try:
        return "done", _result(getattr(stores[owner], method)(*arguments, **named))
    except Fault as fault:
        return "fault", (fault, repr(fault.__cause__) if fault.__cause__ else "")
    except Exception:
        return "error", traceback.format_exc()


def _result(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine without an event loop: the stores of this process never await anything."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    work.close()
    raise RuntimeError(f"{work} waits for something")


def _end(arguments: threading.ExceptHookArgs) -> None:
    """Exit on a bug in a thread, so that the server starts another process and fails the pending requests."""
    sys.__excepthook__(arguments.exc_type, arguments.exc_value or arguments.exc_type(), arguments.exc_traceback)
    os._exit(1)


if __name__ == "__main__":
    # Who ends all processes of a service means the server, which drains, and needs this one for that.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # A lease on a file is held for an instant (blobs/disk.py): whoever wants the file then would end this process.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    with contextlib.suppress(ConnectionError):  # the server has left before this was ready
        main(*sys.argv[1:])
