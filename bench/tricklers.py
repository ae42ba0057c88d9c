"""Slow senders, as a program of its own: `python -m bench.tricklers URL CONNECTIONS BYTES_A_SECOND`, keys on stdin.

Each sends an upload at that pace, just fast enough not to be cut off, and then the next. Says `ready` when all have
begun, and goes on until killed.
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

CHUNKS_PER_SECOND = 1


async def trickle(url: str, messages: Iterator[bytes], chunk: int) -> None:
    """Send one upload after the other, a portion at a time, with no eye for what is answered meanwhile."""
    while True:
        message = next(messages)
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(*address_of(url))
            for start in range(0, len(message), chunk):
                writer.write(message[start : start + chunk])
                await asyncio.sleep(1 / CHUNKS_PER_SECOND)
                if writer.transport.is_closing():
                    break
            writer.close()
        await asyncio.sleep(1 / CHUNKS_PER_SECOND)


async def main(url: str, connections: int, pace: float, keys: list[str]) -> None:
    request = Request("POST", [("/api/upload", bodies.form("46 KB"))], {"Content-Type": bodies.FORM_TYPE}, keys)
    messages = itertools.cycle(request.messages(url))
    tasks = []
    for _ in range(connections):
        tasks.append(asyncio.create_task(trickle(url, messages, round(pace / CHUNKS_PER_SECOND))))
        await asyncio.sleep(1 / 500)
    print(f"ready http://{address_of(url)[0]}", flush=True)
    await asyncio.gather(*tasks)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.stdin.read().split()))
