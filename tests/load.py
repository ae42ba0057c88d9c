"""Clients that upload as fast as they are let, in a process of their own: `python -m tests.load URL KEYS SECONDS SIZE`.

KEYS is `KEY:CLIENTS,…`. Each client keeps a connection, reads while it sends, and waits as `Retry-After` says. What
came of it is one JSON object: for each key the statuses, the codes of refusals, and the seconds that 200 and 503 took.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import uvloop

from tests import pictures
from tests.running import bearer
from tests.surfaces.test_upload import multipart

RETRY_AFTER = re.compile(rb"\r\nretry-after: (\d+)", re.IGNORECASE)
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


class Tally:
    """What a key's clients have seen."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.seconds: dict[int, list[float]] = {200: [], 503: []}
        self.without_retry_after = 0

    def told(self) -> dict[str, Any]:
        return {
            "statuses": dict(self.statuses),
            "seconds": self.seconds,
            "without_retry_after": self.without_retry_after,
        }


async def upload_until(end: float, address: tuple[str, int], request: bytes, tally: Tally) -> None:
    """One client."""
    while time.monotonic() < end:
        reader, writer = await asyncio.open_connection(*address)
        try:
            while time.monotonic() < end:
                await _upload(reader, writer, request, tally)
        except (ConnectionError, asyncio.IncompleteReadError):
            tally.statuses[0] += 1
        finally:
            writer.close()


async def _upload(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, tally: Tally) -> None:
    began = time.monotonic()
    sending = asyncio.ensure_future(_send(writer, request))
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        await reader.readexactly(int(length[1]) if length else 0)
        status = int(head[9:12])
        tally.statuses[status] += 1
        if status in tally.seconds:
            tally.seconds[status].append(time.monotonic() - began)
        await sending
    finally:
        sending.cancel()
    if status == 503:
        wait = RETRY_AFTER.search(head)
        tally.without_retry_after += not wait
        await asyncio.sleep(int(wait[1]) if wait else 1)


async def _send(writer: asyncio.StreamWriter, request: bytes) -> None:
    writer.write(request)
    await writer.drain()


def picture_of(size: int) -> bytes:
    """A JPEG of about so many bytes."""
    side = 64
    while len(picture := pictures.phone_jpeg(image=pictures.noise(side, side), quality=95)) < size:
        side = int(side * (1.02 if len(picture) * 1.2 > size else 1.2)) + 1
    return picture


async def main(url: str, keys: str, seconds: str, size: str) -> None:
    """Run all clients, then tell."""
    parts = urlsplit(url)
    address = (str(parts.hostname), int(parts.port or 80))
    body, headers = multipart(picture_of(int(size)))
    end, tallies, clients = time.monotonic() + float(seconds), {}, []
    for key, number in (part.split(":") for part in keys.split(",")):
        lines = {**bearer(key), **headers, "Host": parts.netloc, "Content-Length": str(len(body))}
        head = "POST /api/upload HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        tallies[key] = Tally()
        request = head.encode() + b"\r\n" + body
        clients += [upload_until(end, address, request, tallies[key]) for _ in range(int(number))]
    await asyncio.gather(*clients)
    print(json.dumps({key: tally.told() for key, tally in tallies.items()}))


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
