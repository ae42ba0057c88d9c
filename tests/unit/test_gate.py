"""Admission: buckets, places, months."""

from __future__ import annotations

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


def test_the_places_to_send_are_bounded_in_all_and_by_account() -> None:
    queue = UploadQueue(max_uploads=3, per_account=2, max_jobs=9, max_mb=1)
    first, second = queue.enter("a"), queue.enter("a")
    assert code(queue.enter, "a") == "overloaded"
    queue.enter("b")
    assert code(queue.enter, "c") == "overloaded"
    first.release()
    first.release()
    queue.enter("a")
    assert code(queue.enter, "c") == "overloaded"
    second.release()
    queue.enter("c")


def test_work_is_bounded_by_jobs_and_bytes_and_frees_the_place_to_send() -> None:
    queue = UploadQueue(max_uploads=1, per_account=0, max_jobs=2, max_mb=1)
    first = queue.enter("a")
    first.work(MB)
    second = queue.enter("a")
    assert code(second.work, 1) == "overloaded"
    second.release()
    first.release()
    third, _ = queue.enter("a"), None
    third.work(2 * MB)  # alone, a body of any size gets its turn
    third.release()
    for _ in range(2):
        queue.enter("a").work(1)
    assert code(queue.enter("a").work, 1) == "overloaded"


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
