"""The rules: months, expiry, charges, who may read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest

from iuserver import policy
from iuserver.errors import Fault
from iuserver.records import MB, Account, Charge, Expiration, Image, Plan, ViewIntent

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


OPEN = IMAGE
LOCKED = replace(IMAGE, password_hash="x")
BURN = replace(IMAGE, expiration="burn")
VIEWS = replace(IMAGE, expiration="views", view_limit=3)
NOBODY = {"owner": False, "unlocked": False, "granted": False}
OWNER, KNOWS, HOLDS = ({**NOBODY, name: True} for name in NOBODY)


@pytest.mark.parametrize(
    ("image", "visitor", "state"),
    [
        (OPEN, NOBODY, "open"),
        (LOCKED, NOBODY, "locked"),
        (LOCKED, KNOWS, "open"),
        (LOCKED, OWNER, "open"),
        (BURN, NOBODY, "sealed"),
        (BURN, KNOWS, "sealed"),
        (BURN, OWNER, "open"),
        (BURN, HOLDS, "open"),
        (replace(BURN, views=1), NOBODY, "gone"),
        (replace(BURN, views=1), OWNER, "gone"),
        (replace(BURN, views=1), HOLDS, "open"),
        (replace(BURN, password_hash="x"), NOBODY, "locked"),
        (replace(BURN, password_hash="x"), KNOWS, "sealed"),
        (replace(BURN, password_hash="x"), HOLDS, "open"),
        (VIEWS, NOBODY, "sealed"),
        (replace(VIEWS, views=2), NOBODY, "sealed"),
        (replace(VIEWS, views=3), NOBODY, "gone"),
        (replace(VIEWS, views=3), HOLDS, "open"),
        (replace(VIEWS, views=3, buried_at=NOW), HOLDS, "gone"),
    ],
)
def test_what_an_image_is_to_a_visitor(image: Image, visitor: dict[str, bool], state: policy.State) -> None:
    assert policy.state_of(image, NOW + 9.9, **visitor) == state
    assert policy.state_of(image, NOW + 10, **visitor) == "gone"


PLAIN, HEAD, CLICK = ViewIntent(), ViewIntent(head=True), ViewIntent(navigation=True)
ROBOT, AHEAD = ViewIntent(robot=True), ViewIntent(prefetch=True)


@pytest.mark.parametrize(
    ("state", "answers"),
    [  # a script or an <img>, HEAD, somebody who opens the link, a robot, a browser ahead of its user
        ("gone", ["nothing", "nothing", "nothing", "nothing", "nothing"]),
        ("open", ["send", "send", "send", "send", "send"]),
        ("locked", ["ask", "ask", "page", "ask", "ask"]),
        ("sealed", ["count", "describe", "page", "page", "refuse"]),
    ],
)
def test_what_a_request_for_bytes_gets(state: policy.State, answers: list[policy.Answer]) -> None:
    assert [policy.answer_to(state, intent) for intent in (PLAIN, HEAD, CLICK, ROBOT, AHEAD)] == answers


@pytest.mark.parametrize(
    ("state", "answers"),
    [  # looking at the page, a click on Reveal, a robot's, a browser's ahead of its user
        ("gone", ["nothing", "nothing", "nothing", "nothing"]),
        ("open", ["send", "send", "send", "send"]),
        ("locked", ["ask", "ask", "ask", "ask"]),
        ("sealed", ["offer", "count", "offer", "offer"]),
    ],
)
def test_what_a_request_for_the_page_gets(state: policy.State, answers: list[policy.Answer]) -> None:
    clicks = ({}, {"reveal": True}, {"reveal": True, "robot": True}, {"reveal": True, "prefetch": True})
    assert [policy.answer_to(state, ViewIntent(page=True, **click)) for click in clicks] == answers


def test_nothing_but_a_plain_request_or_a_click_is_counted() -> None:
    for flags in product((False, True), repeat=6):
        intent = ViewIntent(*flags)
        counted = policy.answer_to("sealed", intent) == "count"
        looks = intent.reveal if intent.page else not (intent.head or intent.navigation)
        assert counted == (looks and not intent.robot and not intent.prefetch)
        for state in ("gone", "locked", "open"):
            assert policy.answer_to(state, intent) != "count"


def test_views_are_counted_until_the_last_and_its_grant_keeps_the_bytes() -> None:
    first = policy.viewed(VIEWS, False, 0, NOW)
    assert first == replace(VIEWS, views=1, viewed_at=NOW)
    assert policy.viewed(first, True, NOW + 60, NOW + 1) == first
    last = policy.viewed(replace(VIEWS, views=2), False, NOW + 60, NOW + 5)
    assert last == replace(VIEWS, views=3, viewed_at=NOW + 5, let_go_at=NOW + 60)
    assert policy.viewed(last, False, 0, NOW + 6) is None
    assert policy.viewed(last, True, 0, NOW + 6) is None
    assert policy.viewed(BURN, False, 0, NOW) == replace(BURN, views=1, viewed_at=NOW, let_go_at=NOW)
    assert policy.viewed(BURN, False, 0, NOW + 10) is None, "it has expired"
    assert policy.viewed(LOCKED, False, 0, NOW) is None, "it has no views to be counted"


def test_a_tombstone_has_nothing_personal_and_a_time_of_its_own() -> None:
    used = replace(BURN, password_hash="x", expires_at=None, views=1, viewed_at=NOW, let_go_at=NOW + 60, size=9)
    assert policy.buried(used, NOW + 59) is None
    stone = policy.buried(used, NOW + 60)
    assert stone
    assert (stone.filename, stone.size, stone.password_hash) == ("image.jpg", 0, None)
    assert (stone.viewed_at, stone.buried_at, stone.let_go_at) == (NOW, NOW + 60, None)
    assert stone.expires_at == NOW + 30 * policy.DAY
    assert policy.buried(stone, NOW + 90) is None
    soon = policy.buried(replace(used, expires_at=NOW + 100), NOW + 60)
    assert soon
    assert soon.expires_at == NOW + 100
    assert policy.buried(BURN, NOW) is None
