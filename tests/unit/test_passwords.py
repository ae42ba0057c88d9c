"""Passwords: hashed and compared off the loop, in bounded lanes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable

from iuserver.errors import Fault
from iuserver.passwords import NOBODYS, Passwords


async def outcome(work: Awaitable[object]) -> object:
    try:
        return await work
    except Fault as fault:
        return fault.code if fault.retry_after else None


def test_one_caller_has_its_share_of_a_lane_and_no_more_than_all_wait() -> None:
    async def work() -> None:
        lane = Passwords(waiting=4, per_caller=2)
        encoded = await lane.hash("right", "a")
        try:
            many = [outcome(lane.verify(encoded, "right", "a")) for _ in range(6)]
            others = [outcome(lane.verify(encoded, "wrong", name)) for name in "bcde"]
            results = await asyncio.gather(*many, *others)
        finally:
            await lane.close()
        assert Counter(results[:6]) == {True: 3, "overloaded": 3}, "one in the thread, two that wait"
        assert Counter(results[6:]) == {False: 2, "overloaded": 2}
        assert await outcome_of_a_new_lane(encoded)

    asyncio.run(work())


async def outcome_of_a_new_lane(encoded: str) -> object:
    lane = Passwords(1, 1)
    try:
        return await outcome(lane.verify(encoded, "right", "a"))
    finally:
        await lane.close()


def test_nobodys_hash_costs_what_others_do_and_fits_no_password() -> None:
    async def work() -> None:
        lane = Passwords(1, 1)
        try:
            assert (await lane.hash("x", "a")).rsplit("$", 2)[0] == NOBODYS.rsplit("$", 2)[0]
            assert len(await lane.hash("x", "a")) == len(NOBODYS)
            assert [await lane.verify(NOBODYS, password, "a") for password in ("", "x")] == [False, False]
        finally:
            await lane.close()

    asyncio.run(work())


def test_callers_take_turns() -> None:
    async def work() -> list[str]:
        lane, order = Passwords(waiting=9, per_caller=8), list[str]()

        async def hashed(caller: str) -> None:
            await lane.hash("x", caller)
            order.append(caller)

        await asyncio.gather(*(hashed("many") for _ in range(5)), hashed("one"))
        await lane.close()
        return order

    assert asyncio.run(work()).index("one") <= 2
