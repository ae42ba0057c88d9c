"""Admission: buckets, places, months."""

from __future__ import annotations

import asyncio

import pytest

from iuserver.errors import Fault
from iuserver.gate import MonthPlaces, TokenBuckets, UploadQueue
from iuserver.policy import check_rate
from iuserver.records import MB, Quota

NOW = 1_795_000_000


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def take(buckets: TokenBuckets, key: str) -> None:
    check_rate(buckets.take(key))


def code(call: object, *arguments: object) -> str:
    with pytest.raises(Fault) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code


def test_a_bucket_gives_its_tokens_then_one_as_each_comes_back() -> None:
    time = Time()
    buckets = TokenBuckets(60, time)
    for _ in range(60):
        take(buckets, "a")
    assert code(take, buckets, "a") == "rate_limited"
    take(buckets, "b")
    time.now += 0.99
    assert code(take, buckets, "a") == "rate_limited"
    time.now += 0.02
    take(buckets, "a")
    assert code(take, buckets, "a") == "rate_limited"


def test_a_refused_call_is_told_when_to_come_back() -> None:
    time = Time()
    buckets = TokenBuckets(2, time)
    take(buckets, "a")
    take(buckets, "a")
    with pytest.raises(Fault) as caught:
        take(buckets, "a")
    assert caught.value.retry_after
    time.now += caught.value.retry_after
    take(buckets, "a")


def test_a_bucket_never_holds_more_than_a_minutes_tokens() -> None:
    time = Time()
    buckets = TokenBuckets(3, time)
    time.now += 3600
    for _ in range(3):
        take(buckets, "a")
    assert code(take, buckets, "a") == "rate_limited"


def test_a_clock_that_is_set_back_takes_no_tokens_away() -> None:
    time = Time()
    buckets = TokenBuckets(60, time)
    take(buckets, "a")
    time.now -= 3600
    take(buckets, "a")


def test_zero_means_no_limit() -> None:
    buckets = TokenBuckets(0, Time())
    for _ in range(1000):
        take(buckets, "a")


def queue_of(max_uploads: int = 9, per_account: int = 0, max_wait: float = 0, max_jobs: int = 9) -> UploadQueue:
    return UploadQueue(max_uploads, per_account, max_wait, max_jobs, max_mb=1)


async def refused(queue: UploadQueue, account: str) -> bool:
    try:
        await queue.enter(account)
    except Fault as fault:
        return fault.code == "overloaded"
    return False


def test_the_places_to_send_are_bounded_in_all_and_by_account() -> None:
    async def work() -> None:
        queue = queue_of(max_uploads=3, per_account=2)
        first, second = await queue.enter("a"), await queue.enter("a")
        assert await refused(queue, "a")
        await queue.enter("b")
        assert await refused(queue, "c")
        first.release()
        first.release()
        await queue.enter("a")
        assert await refused(queue, "c")
        second.release()
        await queue.enter("c")

    asyncio.run(work())


def test_a_place_is_waited_for_in_turn() -> None:
    async def work() -> None:
        queue = queue_of(max_uploads=2, max_wait=20)
        first, second = await queue.enter("a"), await queue.enter("a")
        third, fourth = (asyncio.ensure_future(queue.enter(name)) for name in ("b", "c"))
        await asyncio.sleep(0)
        assert await refused(queue, "d"), "as many wait as there are places"
        first.release()
        (await third).release()
        (await fourth).release()
        second.release()
        assert queue.receiving == 0

    asyncio.run(work())


def test_who_has_waited_too_long_is_refused_and_takes_no_place_along() -> None:
    async def work() -> None:
        queue = queue_of(max_uploads=1, per_account=1, max_wait=0.01)
        slot = await queue.enter("a")
        assert await refused(queue, "b")
        slot.release()
        (await queue.enter("b")).release()
        assert queue.receiving == 0

    asyncio.run(work())


def test_work_is_bounded_by_jobs_and_bytes_and_frees_the_place_to_send() -> None:
    async def work() -> None:
        queue = queue_of(max_uploads=1, max_jobs=2)
        first = await queue.enter("a")
        first.work(MB)
        second = await queue.enter("a")
        assert code(second.work, 1) == "overloaded"
        second.release()
        first.release()
        third = await queue.enter("a")
        third.work(2 * MB)  # alone, a body of any size gets its turn
        third.release()
        for _ in range(2):
            (await queue.enter("a")).work(1)
        assert code((await queue.enter("a")).work, 1) == "overloaded"

    asyncio.run(work())


def test_a_month_cannot_be_begun_more_often_than_it_has_uploads_left() -> None:
    months = MonthPlaces()
    quota = Quota(8, 10, "free")
    first, _ = months.reserve("a", "2026-11", quota, NOW), months.reserve("a", "2026-11", quota, NOW)
    assert code(months.reserve, "a", "2026-11", quota, NOW) == "quota_exceeded"
    months.reserve("a", "2026-12", quota, NOW)
    months.reserve("b", "2026-11", quota, NOW)
    first()
    first()
    months.reserve("a", "2026-11", quota, NOW)
    assert code(months.reserve, "a", "2026-11", quota, NOW) == "quota_exceeded"
