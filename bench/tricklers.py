"""Slow senders, as a program of its own: `python -m bench.tricklers URL CONNECTIONS BYTES_A_SECOND`, keys on stdin.

Each sends an upload at that pace, just fast enough not to be cut off, and begins again when it is answered. Says
`ready` when all have begun, and goes on until killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
from collections.abc import Iterator

import uvloop

from bench import bodies
from bench.processes import address_of
from bench.request import Request

PORTION = 256


async def trickle(url: str, messages: Iterator[bytes], pace: float) -> None:
    """Send one upload after the other, a portion at a time."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(*address_of(url))
            try:
                await _send(reader, writer, next(messages), pace)
            finally:
                writer.close()
        await asyncio.sleep(PORTION / pace)


async def _send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: bytes, pace: float) -> None:
    """Until it is sent, or something was answered."""
    for start in range(0, len(message), PORTION):
        writer.write(message[start : start + PORTION])
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reader.read(1), PORTION / pace)
            return


async def main(url: str, connections: int, pace: float, keys: list[str]) -> None:
    request = Request("POST", [("/api/upload", bodies.form("46 KB"))], {"Content-Type": bodies.FORM_TYPE}, keys)
    messages = itertools.cycle(request.messages(url))
    tasks = []
    for _ in range(connections):
        tasks.append(asyncio.create_task(trickle(url, messages, pace)))
        await asyncio.sleep(1 / 500)
    print(f"ready http://{address_of(url)[0]}", flush=True)
    await asyncio.gather(*tasks)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.stdin.read().split()))
