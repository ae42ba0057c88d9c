"""The rules: months, expiry, charges, who may read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from iuserver import policy
from iuserver.errors import Fault
from iuserver.records import MB, Account, Caller, Charge, Expiration, Image, Plan

FREE = Plan("free", 10, 500, 25, 30, False, False)
PRO = Plan("pro", 0, 51200, 50, 0, True, True)
ACCOUNT = Account("a1", "a@example.org", "free", b"hash", "abcd", 0, month="2026-11", used=9, stored_bytes=MB)
CHARGE = Charge("a1", b"hash", 1_795_000_000, "2026-11", 10, 2 * MB)
NOW = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp())
IMAGE = Image("slug", "blob", "a1", "n.jpg", "jpg", "image/jpeg", 1, 1, 1, "1d", NOW + 10, None, None, None, "api", NOW)


def code(call: object, *arguments: object) -> str:
    with pytest.raises(Fault) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code


def test_a_month_is_utc_and_ends_at_the_first_second_of_the_next() -> None:
    last = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
    assert policy.month_of(last) == "2026-12"
    assert policy.month_end(last) == last + 1
    assert policy.month_of(policy.month_end(last)) == "2027-01"


def test_the_count_of_another_month_does_not_count() -> None:
    assert policy.quota_of(ACCOUNT, FREE, NOW).remaining == 1
    assert policy.quota_of(ACCOUNT, FREE, NOW + 30 * policy.DAY).remaining == 10
    assert policy.quota_of(ACCOUNT, PRO, NOW).remaining is None


def test_a_charge_counts_the_upload_and_its_bytes() -> None:
    after = policy.charged(ACCOUNT, CHARGE, MB)
    assert (after.used, after.stored_bytes) == (10, 2 * MB)
    later = policy.charged(after, replace(CHARGE, month="2026-12", storage_limit=0), MB)
    assert (later.used, later.month) == (1, "2026-12")


def test_a_charge_is_refused_for_the_first_reason_there_is() -> None:
    assert code(policy.charged, None, CHARGE, 1) == "invalid_key"
    assert code(policy.charged, replace(ACCOUNT, disabled=True), CHARGE, 1) == "invalid_key"
    assert code(policy.charged, replace(ACCOUNT, key_hash=b"new"), CHARGE, 1) == "invalid_key"
    assert code(policy.charged, replace(ACCOUNT, used=10), CHARGE, 2 * MB) == "quota_exceeded"
    assert code(policy.charged, ACCOUNT, CHARGE, MB + 1) == "storage_quota_exceeded"


@pytest.mark.parametrize(
    ("expiration", "plan", "days"),
    [
        ("1d", FREE, 1),
        ("1w", FREE, 7),
        ("1mo", FREE, 30),
        ("burn", FREE, 30),
        ("burn", PRO, None),
        ("views", FREE, 30),
        ("views", PRO, 30),
        ("forever", PRO, None),
    ],
)
def test_how_long_an_image_lives(expiration: Expiration, plan: Plan, days: int | None) -> None:
    assert policy.expires_at(expiration, None, plan, NOW) == (None if days is None else NOW + days * policy.DAY)


def test_longer_than_the_plan_allows_is_refused_never_shortened() -> None:
    assert code(policy.expires_at, "forever", None, FREE, NOW) == "plan_required"
    assert code(policy.expires_at, "1mo", None, replace(FREE, max_expiration_days=29), NOW) == "plan_required"


def test_exactly_the_maximum_size_is_accepted() -> None:
    policy.check_size(25 * MB, FREE)
    assert code(policy.check_size, 25 * MB + 1, FREE) == "too_large"


def test_an_image_can_be_read_until_its_second_and_a_gated_one_by_its_owner_alone() -> None:
    owner, other = Caller(ACCOUNT, FREE), Caller(replace(ACCOUNT, id="b2"), FREE)
    assert policy.may_read(IMAGE, None, NOW + 9.9)
    assert not policy.may_read(IMAGE, owner, NOW + 10)
    for gated in (
        replace(IMAGE, password_hash="x"),
        replace(IMAGE, expiration="burn"),
        replace(IMAGE, expiration="views"),
    ):
        assert not policy.may_read(gated, None, NOW)
        assert not policy.may_read(gated, other, NOW)
        assert policy.may_read(gated, owner, NOW)
