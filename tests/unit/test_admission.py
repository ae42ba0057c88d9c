"""Admission: rate limits, the upload queue, quota reservations, fairness."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from iuserver.admission.attempts import AttemptLimiter
from iuserver.admission.fairness import FairSemaphore, TickLimiter
from iuserver.admission.queue import (
    MAX_RETRY_AFTER,
    RETRIES_PER_SECOND,
    START_BACKLOG_LIMIT,
    START_BACKLOG_LOW,
    STARTS_PER_TICK,
    Bounds,
    Slot,
    UploadQueue,
)
from iuserver.admission.quota import QuotaReservations
from iuserver.admission.rate import TokenBuckets
from iuserver.errors import Fault
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


def test_of_one_image_so_many_wrong_guesses_a_minute_are_judged_and_the_first_of_each_address() -> None:
    time = Time()
    guesses = AttemptLimiter(5, 60, time)
    for address in range(12):
        for _ in range(5):
            guesses.begin("slug", f"192.0.2.{address}")
            time.now += 0.1
    assert code(guesses.begin, "slug", "192.0.2.1") == "rate_limited"
    guesses.begin("other", "192.0.2.1")
    guesses.begin("slug", "198.51.100.1")
    assert code(guesses.begin, "slug", "198.51.100.1") == "rate_limited", "its second one of the hour"
    guesses.begin("slug", "198.51.100.2")()
    guesses.begin("slug", "198.51.100.2")()
    time.now += 61
    guesses.begin("slug", "192.0.2.1")


def test_strangers_that_guess_for_hours_lock_nobody_out() -> None:
    time = Time()
    guesses = AttemptLimiter(5, 60, time)
    for minute in range(61):
        for address in range(60):
            guesses.begin("slug", f"203.0.{minute}.{address}")
        if minute in (0, 60):
            guesses.begin("slug", "192.0.2.1")
        else:
            assert code(guesses.begin, "slug", "192.0.2.1") == "rate_limited"
        time.now += 60


def test_right_guesses_are_forgotten_however_many() -> None:
    guesses = AttemptLimiter(5, 60, Time())
    for _ in range(200):
        guesses.begin("slug", "192.0.2.1")()
    under_way = [guesses.begin("slug", "192.0.2.1") for _ in range(5)]
    assert code(guesses.begin, "slug", "192.0.2.1") == "rate_limited"
    for take_back in under_way:
        take_back()
    guesses.begin("slug", "192.0.2.1")


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


def queue_of(now: Time | None = None, **bounds: float) -> UploadQueue:
    defaults = {"max_uploads": 9, "per_account": 0, "receive_wait": 0, "max_jobs": 9, "max_bytes": MB}
    more = {"max_wait": 10, "share": 1, "worker_permits": 9}
    return UploadQueue(Bounds(**{**defaults, **more, **bounds}), now or Time())


async def worked(slot: Slot, size: int = 1) -> Slot:
    """A slot whose body has been received and has had its turn."""
    await slot.begin_work(size)
    slot.end_work()
    return slot


async def turned_down(slot: Slot, size: int) -> bool:
    try:
        await worked(slot, size)
    except Fault as fault:
        return fault.code == "overloaded" and bool(fault.retry_after)
    finally:
        slot.release()
    return False


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
        queue = queue_of(max_uploads=2, receive_wait=20)
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
        queue = queue_of(max_uploads=1, per_account=1, receive_wait=0.01)
        slot = await queue.enter("a")
        assert await refused(queue, "b")
        slot.release()
        (await queue.enter("b")).release()
        assert queue.receiving == 0

    asyncio.run(work())


def test_work_is_bounded_by_jobs_and_bytes_and_frees_the_place_to_send() -> None:
    async def work() -> None:
        queue = queue_of(max_uploads=1, max_jobs=2)
        first = await worked(await queue.enter("a"), MB)
        assert await turned_down(await queue.enter("a"), 1), "the bytes are used up"
        first.release()
        (await worked(await queue.enter("a"), 2 * MB)).release()  # alone, a body of any size gets its turn
        both = [await worked(await queue.enter("a")) for _ in range(2)]
        assert await refused(queue, "b"), "the jobs are used up"
        for slot in both:
            slot.release()
            slot.release()
        assert (queue.receiving, queue.working) == (0, 0)

    asyncio.run(work())


def test_an_account_has_no_more_than_its_share_of_the_work() -> None:
    async def work() -> None:
        queue = queue_of(max_jobs=4, share=0.5)
        slots = [await worked(await queue.enter("a")) for _ in range(2)]
        assert await turned_down(await queue.enter("a"), 1)
        slots.append(await worked(await queue.enter("b"), MB // 2))
        assert await turned_down(await queue.enter("b"), MB // 4), "of the bytes, too"
        for slot in slots:
            slot.release()

    asyncio.run(work())


def test_accounts_take_turns_at_the_workers() -> None:
    async def work() -> None:
        queue, order = queue_of(worker_permits=1), []

        async def upload(account: str, slot: Slot) -> None:
            await slot.begin_work(1)
            order.append(account)
            await asyncio.sleep(0)
            slot.end_work()
            slot.release()

        sent = [(account, await queue.enter(account)) for account in ("a", "a", "a", "a", "b", "b", "c")]
        await asyncio.gather(*(upload(*body) for body in sent))
        assert order == ["a", "a", "b", "c", "a", "b", "a"]
        assert queue.working == 0

    asyncio.run(work())


def test_who_would_wait_too_long_for_a_worker_is_refused_before_sending() -> None:
    async def work() -> None:
        now = Time()
        queue = queue_of(now, max_wait=10, worker_permits=1, max_bytes=99 * MB)
        slot = await queue.enter("a")
        await slot.begin_work(MB)
        now.now += 6  # so slow are the workers: six seconds for a megabyte
        slot.end_work()
        assert not await refused(queue, "a")
        second = await worked(await queue.enter("a"), 2 * MB)
        assert await refused(queue, "a"), "three megabytes are ahead, at six seconds each"
        assert not await refused(queue, "b"), (
            "accounts take turns: of another account's backlog only as much as its own"
        )
        slot.release()
        second.release()
        assert not await refused(queue, "a")

    asyncio.run(work())


def test_a_turn_that_is_given_to_nobody_any_more_goes_on() -> None:
    async def work() -> None:
        places = FairSemaphore(1, backlog=2)
        assert await places.acquire("a")
        leaving, staying = (asyncio.ensure_future(places.acquire(name)) for name in ("b", "c"))
        await asyncio.sleep(0)
        places.release("a")
        leaving.cancel()  # it has got the place, and does not know yet
        assert await staying
        places.release("c")
        assert (places.held, places.waiting) == (0, 0)

    asyncio.run(work())


def test_accounts_take_turns_however_many_of_each_wait() -> None:
    async def work() -> None:
        limiter, portions = TickLimiter(2), Counter[str]()

        async def send(account: str) -> None:
            for _ in range(3):
                if turn := limiter.acquire(account):
                    await turn
                portions[account] += 1

        bodies = [asyncio.ensure_future(send("a")) for _ in range(8)]
        await asyncio.sleep(0)
        await send("b")
        assert portions["a"] <= 10, "eight bodies of one account went on not much faster than one of another's"
        await asyncio.gather(*bodies)
        assert portions["a"] == 24

    asyncio.run(work())


def test_so_many_go_on_with_each_round_of_the_loop() -> None:
    async def work() -> None:
        limiter = TickLimiter(2)
        assert [limiter.acquire("a"), limiter.acquire("a")] == [None, None]
        turns = [limiter.acquire(account) for account in "aabcd"]
        assert all(turns)
        assert limiter.waiting == 5
        turns[2].cancel()
        went_on = []
        while limiter.waiting:
            before = [turn.done() for turn in turns].count(True)
            await asyncio.sleep(0)
            went_on.append([turn.done() for turn in turns].count(True) - before)
        assert went_on == [2, 2], "who has given up takes nobody's turn"
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [limiter.acquire("a"), limiter.acquire("a")] == [None, None], "a new round, and nobody waits"

    asyncio.run(work())


def test_where_many_wait_more_go_on_if_so_wished() -> None:
    async def work() -> None:
        for limiter, expected in ((TickLimiter(2), 2), (TickLimiter(2, backlog_step=4), 2 + 10 // 4)):
            turns = [limiter.acquire("a") for _ in range(12)][2:]
            await asyncio.sleep(0)
            assert [turn.done() for turn in turns if turn].count(True) == expected

    asyncio.run(work())


def test_uploads_wait_to_be_heard_and_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        monkeypatch.setattr("iuserver.admission.queue.START_BACKLOG_LIMIT", 3)
        queue = queue_of()
        starts = [asyncio.ensure_future(queue.wait_to_start()) for _ in range(STARTS_PER_TICK + 4)]
        await asyncio.sleep(0)
        assert [starts.done() for starts in starts] == [True] * STARTS_PER_TICK + [False] * 3 + [True]
        *heard, refused = await asyncio.gather(*starts, return_exceptions=True)
        assert set(heard) == {None}
        assert isinstance(refused, Fault)
        assert refused.code == "overloaded"

    asyncio.run(work())


def test_uploads_are_not_even_heard_while_many_wait_for_that_and_until_few_do() -> None:
    async def work() -> None:
        now = Time()
        queue = queue_of(now)

        starts = [
            asyncio.ensure_future(queue.wait_to_start()) for _ in range(START_BACKLOG_LIMIT // 2 + STARTS_PER_TICK - 1)
        ]
        await asyncio.sleep(0)
        assert not queue.is_shedding(), "one more may wait"
        starts += [asyncio.ensure_future(queue.wait_to_start()) for _ in range(4)]
        await asyncio.sleep(0)
        assert queue.is_shedding()
        for _ in range(200):
            queue.refuse()
        await asyncio.gather(*starts[: START_BACKLOG_LIMIT // 4])
        assert queue.is_shedding(), "they are not through yet"
        await asyncio.gather(*starts[: -START_BACKLOG_LOW + 2 * STARTS_PER_TICK])
        assert not queue.is_shedding()
        await asyncio.gather(*starts)

    asyncio.run(work())


def test_uploads_are_not_even_heard_while_nobody_could_have_a_place_and_refusals_are_many() -> None:
    async def work() -> None:
        now = Time()
        queue = queue_of(now, max_uploads=1)
        slot = await queue.enter("a")
        assert not queue.is_shedding(), "full, but nobody has been refused"
        for _ in range(200):
            assert await refused(queue, "b")
        assert queue.is_shedding()
        slot.release()
        assert not queue.is_shedding(), "there is a place"
        await queue.enter("a")
        now.now += 5
        assert not queue.is_shedding(), "that was a while ago"

    asyncio.run(work())


def test_those_who_are_refused_come_back_one_after_the_other() -> None:
    now = Time()
    queue = queue_of(now)
    told = [queue.refuse() for _ in range(5 * RETRIES_PER_SECOND)]
    assert 1 <= told[0] <= 3
    assert 5 <= told[-1] <= 8
    assert max(queue.refuse() for _ in range(50 * RETRIES_PER_SECOND)) <= MAX_RETRY_AFTER + 3
    now.now += 60
    assert queue.refuse() <= 3, "all of those have come back"


def test_a_month_cannot_be_begun_more_often_than_it_has_uploads_left() -> None:
    months = QuotaReservations()
    quota = Quota(8, 10, "free")
    first, _ = months.reserve("a", "2026-11", quota, NOW), months.reserve("a", "2026-11", quota, NOW)
    assert code(months.reserve, "a", "2026-11", quota, NOW) == "quota_exceeded"
    months.reserve("a", "2026-12", quota, NOW)
    months.reserve("b", "2026-11", quota, NOW)
    first()
    first()
    months.reserve("a", "2026-11", quota, NOW)
    assert code(months.reserve, "a", "2026-11", quota, NOW) == "quota_exceeded"
