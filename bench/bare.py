"""The yardstick: a bare Tornado handler that streams each body to a new file, and does nothing else at all."""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path
from typing import BinaryIO

import uvloop
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler, stream_request_body

MAX_BODY = 1 << 30


@stream_request_body
class BareHandler(RequestHandler):
    """No parsing, no worker, no record, no sync."""

    numbers = itertools.count()
    folder: Path
    file: BinaryIO

    def prepare(self) -> None:
        self.file = (self.folder / f"{next(self.numbers)}").open("wb", buffering=0)

    def data_received(self, chunk: bytes) -> None:
        self.file.write(chunk)

    def post(self) -> None:
        self.file.close()
        self.write({"ok": True})


async def serve(folder: Path) -> None:
    """Listen on a free port, say which, and go on until killed."""
    BareHandler.folder = folder
    http = HTTPServer(Application([("/", BareHandler)], log_function=lambda handler: None), max_body_size=MAX_BODY)
    sockets = bind_sockets(0, "127.0.0.1")
    http.add_sockets(sockets)
    print(f"listening on http://127.0.0.1:{sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
