"""Who may sign in, how long that lasts, and what ends it: the use cases of a server that runs."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from iuserver.accounts import NewKey
from iuserver.errors import Fault
from iuserver.policy import DAY
from iuserver.records import Account, Caller, Client
from iuserver.sign_in import MAX_SESSIONS, SignedIn
from iuserver.sign_up import SignUp
from tests import pictures
from tests.running import RunningServer, running

PASSWORD = "correct horse"
OTHER = "battery staple"
numbers = itertools.count(1)
NOON = 20_790 * DAY + DAY // 2


def client(number: int | None = None) -> Client:
    """Somebody at a network of his own."""
    number = next(numbers) if number is None else number
    return Client(f"2001:db8:{number:x}::", f"2001:db8:{number:x}::/48", "Firefox on Linux")


class Site:
    """A server, and what its pages do."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.services = server.server._services
        self.sign_ins = self.services.sign_in

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.server.call(work)

    def refusal(self, work: Coroutine[Any, Any, Any]) -> Fault:
        with pytest.raises(Fault) as caught:
            self.call(work)
        return caught.value

    def code(self, work: Coroutine[Any, Any, Any]) -> str:
        return self.refusal(work).code

    def account(self, password: str | None = PASSWORD, admin: bool = False) -> Account:
        """A new account."""
        return self.made(password, admin).account

    def made(self, password: str | None = PASSWORD, admin: bool = False) -> NewKey:
        encoded = self.call(self.sign_ins.hash(password, "test")) if password else None
        email = f"someone{next(numbers)}@example.org"
        made: NewKey = self.call(self.server.server.accounts.add(email, "pro", admin=admin, password_hash=encoded))
        return made

    def link(self, account: Account) -> str:
        token: str = self.call(self.server.server.accounts.make_link(account)).token
        return token

    def signed_in(self, account: Account, password: str = PASSWORD, by: Client | None = None) -> SignedIn:
        signed_in: SignedIn = self.call(self.sign_ins.by_password(account.email, password, by or client()))
        return signed_in

    def caller(self, signed_in: SignedIn) -> Caller:
        caller = self.found(signed_in)
        assert caller is not None
        return caller

    def found(self, signed_in: SignedIn) -> Caller | None:
        caller: Caller | None = self.call(self.sign_ins.caller(signed_in.token))
        return caller

    def newest_rows(self, number: int) -> list[tuple[str, str, str]]:
        rows = self.call(self.services.admin.audit_log.page(None, number))
        return [(row.actor, row.action, row.subject) for row in rows]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server whose clock nobody sets."""
    with running(tmp_path_factory.mktemp("site"), imaging={"workers": 1}, accounts={"sign_up": "open"}) as server:
        yield Site(server)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    """A server of the test's own."""
    with running(tmp_path, imaging={"workers": 1}, accounts={"session_days": 10}) as server:
        yield Site(server)


def test_a_password_signs_in_and_the_session_says_who_it_is(shared: Site) -> None:
    account, somebody = shared.account(), client()
    signed_in = shared.call(shared.sign_ins.by_password(account.email.upper(), PASSWORD, somebody))
    caller = shared.caller(signed_in)
    assert (caller.account.email, caller.plan.name, caller.via, caller.admin) == (
        account.email,
        "pro",
        "session",
        False,
    )
    assert caller.session is not None
    assert (caller.session.browser, caller.session.network) == ("Firefox on Linux", somebody.masked)
    assert shared.newest_rows(1) == [(account.email, "signed_in", account.email)]


def test_unknown_disabled_and_passwordless_accounts_are_refused_alike_after_the_same_work(
    shared: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []
    lane: Any = shared.sign_ins.verify.__self__  # type: ignore[attr-defined]
    run = lane._run

    async def counted(work: Any, caller: str) -> Any:
        compared.append(work.args[0].rsplit("$", 2)[0])
        return await run(work, caller)

    known, disabled, without = shared.account(), shared.account(), shared.account(None)
    shared.call(shared.server.server.accounts.disable(disabled.email))
    monkeypatch.setattr(lane, "_run", counted)
    tries = [
        (known.email, OTHER),
        (known.email, "x" * 300),
        (known.email, "lone \ud800"),
        (disabled.email, PASSWORD),
        (without.email, ""),
        (without.email, PASSWORD),
        ("nobody@example.org", PASSWORD),
        ("no address", PASSWORD),
        ("\ud800@example.org", PASSWORD),
        ("a" * 100_000, PASSWORD),
    ]
    faults = [shared.refusal(shared.sign_ins.by_password(*one, client())) for one in tries]
    assert {(fault.code, fault.message) for fault in faults} == {
        ("wrong_password", "The e-mail address or the password is wrong")
    }
    assert compared == ["$argon2id$v=19$m=19456,t=2,p=1"] * len(tries), "and by the same parameters"


def test_the_sixth_wrong_password_of_a_minute_waits_and_nobody_elsewhere_does(own: Site) -> None:
    account, stranger = own.account(), client()
    wrong = lambda: own.sign_ins.by_password(account.email, OTHER, stranger)  # noqa: E731
    assert [own.code(wrong()) for _ in range(5)] == ["wrong_password"] * 5
    own.code(wrong())
    refused = own.refusal(own.sign_ins.by_password(account.email, PASSWORD, stranger))
    assert refused.code == "rate_limited"
    assert 0 < (refused.retry_after or 0) <= 60
    assert ("-", "wrong_passwords", account.email) in own.newest_rows(1)
    own.signed_in(account)
    assert own.code(own.sign_ins.by_password("nobody@example.org", PASSWORD, stranger)) == "wrong_password"
    own.server.clock.advance(61)
    own.signed_in(account, by=stranger)


def test_a_network_has_twenty_wrong_passwords_a_minute_whomever_it_tries(own: Site) -> None:
    stranger = client()
    tries = [own.code(own.sign_ins.by_password(f"{n}@example.org", OTHER, stranger)) for n in range(21)]
    assert tries == ["wrong_password"] * 20 + ["rate_limited"]


def test_right_passwords_are_not_counted(shared: Site) -> None:
    account, somebody = shared.account(), client()
    for _ in range(8):
        shared.signed_in(account, by=somebody)


def test_a_session_lives_from_its_last_use_and_three_times_that_in_all(own: Site) -> None:
    account = own.account()
    unused, used = own.signed_in(account), own.signed_in(account)
    last_used = own.sign_ins.last_used
    for _ in range(3):
        own.server.clock.advance(9 * DAY)
        own.caller(used)
        own.call(last_used.flush())
    assert own.found(unused) is None
    own.server.clock.advance(3 * DAY - 60)
    assert own.found(used) is not None
    own.server.clock.advance(120)
    assert own.found(used) is None
    assert own.sign_ins.cookie_seconds == 30 * DAY


def test_to_be_recognised_writes_nothing_and_once_an_hour_it_is_noted(own: Site) -> None:
    signed_in = own.signed_in(own.account())
    began = signed_in.session.seen_at

    def seen_at() -> int:
        session = own.caller(signed_in).session
        assert session is not None
        return session.seen_at

    own.server.clock.advance(3500)
    seen_at()
    own.call(own.sign_ins.last_used.flush())
    assert seen_at() == began, "less than an hour ago"
    own.server.clock.advance(200)
    assert [seen_at(), seen_at()] == [began, began], "it is noted, not written"
    own.call(own.sign_ins.last_used.flush())
    assert began + 3600 <= seen_at() <= began + 3800


def test_what_is_noted_is_written_when_the_server_stops(tmp_path: Path) -> None:
    with running(tmp_path, imaging={"workers": 1}) as server:
        made = Site(server).made()
        assert server.get("/api/quota", made.key).status_code == 200
        assert Site(server).call(server.server.accounts.named(made.account.email)).key_used_on is None
    with running(tmp_path, imaging={"workers": 1}) as server:
        used_on = Site(server).call(server.server.accounts.named(made.account.email)).key_used_on
        assert abs(made.account.created_at - used_on) <= DAY
        assert used_on % DAY == 0


def test_a_key_is_noted_once_a_day(own: Site) -> None:
    own.server.clock.set(NOON)
    made, last_used = own.made(), own.sign_ins.last_used

    def used_on() -> int | None:
        own.call(last_used.flush())
        day: int | None = own.call(own.server.server.accounts.named(made.account.email)).key_used_on
        return day

    assert used_on() is None
    own.server.upload(made.key, pictures.phone_jpeg())
    first = used_on()
    assert first is not None
    own.server.get("/api/quota", made.key)
    assert not last_used._keys, "it is known already"
    own.server.clock.advance(DAY)
    assert used_on() == first
    own.server.get("/api/quota", made.key)
    assert used_on() == first + DAY


def test_what_no_token_is_nobody(shared: Site) -> None:
    for token in ("", "x" * 43, "é" * 43, "\ud800" * 43, "x" * 100_000, "\0" * 43):
        assert shared.call(shared.sign_ins.caller(token)) is None
        assert shared.code(shared.sign_ins.link_account(token)) == "not_found"
        assert shared.code(shared.sign_ins.by_link(token, client())) == "not_found"
        shared.call(shared.sign_ins.sign_out(token))


def test_signing_out_ends_one_session(shared: Site) -> None:
    account = shared.account()
    one, other = shared.signed_in(account), shared.signed_in(account)
    shared.call(shared.sign_ins.sign_out(one.token))
    assert shared.found(one) is None
    assert shared.found(other) is not None


def test_sessions_are_listed_and_ended_by_their_owner_alone(shared: Site) -> None:
    account = shared.account()
    one, other, foreign = shared.signed_in(account), shared.signed_in(account), shared.signed_in(shared.account())
    caller = shared.caller(one)
    listed = [session.id for session in shared.call(shared.sign_ins.sessions(caller))]
    assert sorted(listed) == sorted([one.session.id, other.session.id])
    for id in (foreign.session.id, "", "x", one.token):
        assert shared.code(shared.sign_ins.end_session(caller, id)) == "not_found"
    shared.call(shared.sign_ins.end_session(caller, other.session.id))
    assert shared.found(other) is None
    assert shared.found(one) is not None
    assert shared.found(foreign) is not None


def test_signing_out_everywhere_ends_sessions_and_links(shared: Site) -> None:
    account = shared.account()
    one, other, link = shared.signed_in(account), shared.signed_in(account), shared.link(account)
    shared.call(shared.sign_ins.end_all(shared.caller(one), client()))
    assert (shared.found(one), shared.found(other)) == (None, None)
    assert shared.code(shared.sign_ins.by_link(link, client())) == "not_found"
    assert shared.newest_rows(1) == [(account.email, "signed_out_everywhere", account.email)]
    shared.signed_in(account)


def test_a_new_password_ends_all_other_sessions_and_links(shared: Site) -> None:
    account = shared.account()
    one, other, link = shared.signed_in(account), shared.signed_in(account), shared.link(account)
    changed = shared.call(shared.sign_ins.change_password(shared.caller(one), PASSWORD, OTHER, client()))
    assert (shared.found(one), shared.found(other)) == (None, None)
    caller = shared.caller(changed)
    assert shared.call(shared.sign_ins.sessions(caller)) == [changed.session]
    assert shared.code(shared.sign_ins.by_link(link, client())) == "not_found"
    assert shared.code(shared.sign_ins.by_password(account.email, PASSWORD, client())) == "wrong_password"
    shared.signed_in(account, OTHER)
    assert (account.email, "password_set", account.email) in shared.newest_rows(9)


def test_a_password_is_changed_with_the_old_one_only(shared: Site) -> None:
    caller, somebody = shared.caller(shared.signed_in(shared.account())), client()
    change = shared.sign_ins.change_password
    assert shared.code(change(caller, None, OTHER, somebody)) == "wrong_password"
    assert [shared.code(change(caller, OTHER, OTHER, somebody)) for _ in range(5)][-1] == "rate_limited"


@pytest.mark.parametrize("new", ["", "x" * 9, "x" * 257, "x" * 100_000, "lone surrogate \ud800"])
def test_a_password_has_10_to_256_characters(shared: Site, new: str) -> None:
    caller = shared.caller(shared.signed_in(shared.account()))
    assert shared.code(shared.sign_ins.change_password(caller, PASSWORD, new, client())) == "bad_field"
    assert shared.code(shared.services.sign_up.sign_up("fresh@example.org", new, None, client())) == "bad_field"


@pytest.mark.parametrize("new", ["x" * 10, "ü" * 256])
def test_passwords_of_any_allowed_length_sign_in(shared: Site, new: str) -> None:
    account = shared.account()
    shared.call(shared.sign_ins.change_password(shared.caller(shared.signed_in(account)), PASSWORD, new, client()))
    shared.signed_in(account, new)


def test_a_link_signs_in_once_and_sets_the_first_password(shared: Site) -> None:
    account = shared.account(None)
    token = shared.link(account)
    for _ in range(2):
        assert shared.call(shared.sign_ins.link_account(token)).email == account.email, "to look uses nothing up"
    signed_in = shared.call(shared.sign_ins.by_link(token, client()))
    assert shared.newest_rows(1) == [(account.email, "signed_in_by_link", account.email)]
    assert shared.code(shared.sign_ins.by_link(token, client())) == "not_found"
    caller = shared.caller(signed_in)
    assert shared.code(shared.sign_ins.replace_key(caller, "", client())) == "password_required"
    shared.call(shared.sign_ins.change_password(caller, None, PASSWORD, client()))
    shared.signed_in(account)


def test_of_many_that_use_a_link_at_once_one_is_signed_in(shared: Site) -> None:
    token = shared.link(shared.account())

    async def all_at_once() -> list[Any]:
        tries = (shared.sign_ins.by_link(token, client()) for _ in range(5))
        return await asyncio.gather(*tries, return_exceptions=True)

    outcomes = shared.call(all_at_once())
    assert sum(isinstance(outcome, SignedIn) for outcome in outcomes) == 1
    assert all(isinstance(outcome, SignedIn | Fault) for outcome in outcomes)


def test_a_link_is_good_for_a_day(own: Site) -> None:
    token = own.link(own.account())
    own.server.clock.advance(DAY - 5)
    own.call(own.sign_ins.link_account(token))
    own.server.clock.advance(6)
    assert own.code(own.sign_ins.link_account(token)) == "not_found"


def test_a_disabled_account_has_no_sessions_and_gets_none_back(shared: Site) -> None:
    account, accounts = shared.account(), shared.server.server.accounts
    signed_in, link = shared.signed_in(account), shared.link(account)
    shared.call(accounts.disable(account.email))
    assert shared.found(signed_in) is None
    assert shared.code(shared.sign_ins.by_link(link, client())) == "not_found"
    assert shared.code(accounts.make_link(shared.call(accounts.named(account.email)))) == "bad_field"
    shared.call(accounts.enable(account.email))
    assert shared.found(signed_in) is None
    assert shared.code(shared.sign_ins.by_link(link, client())) == "not_found"
    shared.signed_in(account)


@pytest.mark.parametrize("end", ["set_password", "next_epoch", "disabled"])
def test_a_sign_in_that_what_ends_sessions_overtakes_is_void(shared: Site, end: str) -> None:
    """A password was compared; before the session is stored, it is another one."""
    account, catalog = shared.account(), shared.services.admin.catalog
    ends = {
        "set_password": lambda: catalog.set_password(account.id, "$argon2id$"),
        "next_epoch": lambda: catalog.next_epoch(account.id),
        "disabled": lambda: catalog.set_disabled(account.email, True),
    }
    shared.call(ends[end]())
    assert shared.found(shared.call(shared.sign_ins.begin(account, client(), "signed_in"))) is None
    shared.call(catalog.set_disabled(account.email, False))
    assert shared.found(shared.call(shared.sign_ins.begin(account, client(), "signed_in"))) is None


def test_a_removed_account_has_no_sessions(shared: Site) -> None:
    account = shared.account()
    signed_in, library = shared.signed_in(account), shared.services.library
    shared.call(shared.server.server.accounts.remove(account.email, library.delete_all_of))
    assert shared.found(signed_in) is None


def test_an_account_has_so_many_sessions_at_most(shared: Site) -> None:
    account = shared.account()
    first = shared.signed_in(account)
    last: Any = None
    for _ in range(MAX_SESSIONS):
        last = shared.call(shared.sign_ins.begin(account, client(), "signed_in"))
    sessions = shared.call(shared.sign_ins.sessions(shared.caller(last)))
    assert len(sessions) == MAX_SESSIONS
    assert last.session in sessions or first.session not in sessions


def test_a_key_is_replaced_with_the_password_again(shared: Site) -> None:
    made, somebody = shared.made(), client()
    caller = shared.caller(shared.signed_in(made.account))
    assert shared.code(shared.sign_ins.replace_key(caller, OTHER, somebody)) == "wrong_password"
    assert shared.server.get("/api/quota", made.key).status_code == 200
    replaced = shared.call(shared.sign_ins.replace_key(caller, PASSWORD, somebody))
    assert shared.server.get("/api/quota", made.key).status_code == 401
    assert shared.server.get("/api/quota", replaced.key).status_code == 200
    assert replaced.account.key_last4 == replaced.key[-4:]
    assert shared.newest_rows(1) == [(made.account.email, "key_replaced", made.account.email)]


def test_who_is_signed_in_stays_so_with_a_new_key(shared: Site) -> None:
    signed_in = shared.signed_in(shared.account())
    shared.call(shared.sign_ins.replace_key(shared.caller(signed_in), PASSWORD, client()))
    assert shared.found(signed_in) is not None


def test_browsers_names_are_cut(shared: Site) -> None:
    signed_in = shared.signed_in(shared.account(), by=Client("192.0.2.9", "192.0.2.0/24", "x" * 9999))
    assert len(signed_in.session.browser) == 60


def test_anybody_signs_up_where_that_is_open_but_once_by_address(shared: Site) -> None:
    sign_up = shared.services.sign_up
    email = f"new{next(numbers)}@example.org"
    signed_in = shared.call(sign_up.sign_up(email, PASSWORD, None, client()))
    caller = shared.caller(signed_in)
    assert (caller.account.plan, caller.admin) == ("free", False)
    assert shared.newest_rows(2) == [(email, "signed_in", email), (email, "signed_up", email)]
    assert shared.code(sign_up.sign_up(email.upper(), OTHER, None, client())) == "name_taken"
    for bad in ("", "no address", "a@b c.org", "a\0@b.org", "a\u202e@b.org", "\ud800@b.org", "a@" + "b" * 300):
        assert shared.code(sign_up.sign_up(bad, PASSWORD, None, client())) == "bad_field"
    shared.signed_in(caller.account)


def test_a_network_signs_up_twenty_times_a_minute(shared: Site) -> None:
    crowd = client()
    tries = [shared.code(shared.services.sign_up.sign_up("", PASSWORD, None, crowd)) for _ in range(40)]
    assert tries[:20] == ["bad_field"] * 20
    assert "rate_limited" in tries


def test_by_an_invite_one_account_is_made(own: Site) -> None:
    admin = own.caller(own.signed_in(own.account(admin=True)))
    made = own.call(own.services.admin.make_invite(admin, "starter", "for Kim", client()))
    sign_up = own.services.sign_up
    assert own.code(sign_up.check(None)) == "forbidden"
    assert own.code(sign_up.sign_up("kim@example.org", PASSWORD, None, client())) == "forbidden"
    assert own.code(sign_up.sign_up("kim@example.org", PASSWORD, "x" * 43, client())) == "not_found"
    assert own.call(sign_up.check(made.token)) == made.invite
    taken = sign_up.sign_up(admin.account.email, PASSWORD, made.token, client())
    assert own.code(taken) == "name_taken"
    signed_in = own.call(sign_up.sign_up("kim@example.org", PASSWORD, made.token, client()))
    assert own.caller(signed_in).account.plan == "starter", "who was refused has not used it up"
    assert own.code(sign_up.check(made.token)) == "not_found"
    assert own.code(sign_up.sign_up("lee@example.org", PASSWORD, made.token, client())) == "not_found"


def test_an_invite_is_good_for_a_week(own: Site) -> None:
    admin = own.caller(own.signed_in(own.account(admin=True)))
    made = own.call(own.services.admin.make_invite(admin, "free", "", client()))
    own.server.clock.advance(7 * DAY - 5)
    own.call(own.services.sign_up.check(made.token))
    own.server.clock.advance(6)
    assert own.code(own.services.sign_up.check(made.token)) == "not_found"
    assert own.call(own.services.admin.invites(admin)) == []


def test_where_sign_up_is_closed_no_invite_helps(own: Site) -> None:
    admin = own.caller(own.signed_in(own.account(admin=True)))
    made = own.call(own.services.admin.make_invite(admin, "free", "", client()))
    given = own.services.sign_up
    closed = SignUp("closed", given.invites, given.sign_in, given.bucket, given.clock)
    assert own.code(closed.check(made.token)) == "forbidden"
    assert own.code(closed.sign_up("kim@example.org", PASSWORD, made.token, client())) == "forbidden"


def test_while_nothing_may_change_sessions_are_recognised_and_nobody_signs_in(tmp_path: Path) -> None:
    with running(tmp_path, imaging={"workers": 1}) as server:
        site = Site(server)
        account = site.account()
        signed_in, link = site.signed_in(account), site.link(account)
    with running(tmp_path, imaging={"workers": 1}, server={"read_only": True}) as server:
        site = Site(server)
        caller = site.caller(signed_in)
        server.clock.advance(7200)
        assert site.call(site.sign_ins.sessions(caller)) == [signed_in.session]
        assert site.code(site.sign_ins.by_password(account.email, PASSWORD, client())) == "read_only"
        assert site.code(site.sign_ins.by_link(link, client())) == "read_only"
        assert site.code(site.sign_ins.sign_out(signed_in.token)) == "read_only"
    with running(tmp_path, imaging={"workers": 1}) as server:
        assert Site(server).found(signed_in) is not None
        Site(server).call(Site(server).sign_ins.by_link(link, client()))
