"""What admins see and change, and that nobody else does: the use case of a server that runs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iuserver.admin import Admin
from iuserver.metrics import Totals
from iuserver.moderation import FRESH
from iuserver.records import Caller
from tests import pictures
from tests.running import RunningServer, eventually, running
from tests.surfaces.test_sign_in_rules import Site, client

PICTURE = pictures.phone_jpeg()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("site"), imaging={"workers": 1}) as server:
        yield Site(server)


@pytest.fixture
def admin(site: Site) -> Caller:
    return site.caller(site.signed_in(site.account(admin=True)))


@pytest.fixture
def rules(site: Site) -> Admin:
    return site.services.admin


def slug_of(server: RunningServer, key: str, data: bytes = PICTURE, **fields: str) -> str:
    stored = server.upload(key, data, **fields)
    assert stored.status_code == 200
    slug: str = stored.json()["slug"]
    return slug


METHODS = [name for name, method in vars(Admin).items() if inspect.iscoroutinefunction(method) and name[0] != "_"]


@pytest.mark.parametrize("name", METHODS)
def test_none_of_it_is_for_others(site: Site, rules: Admin, name: str) -> None:
    account = site.account()
    caller = site.caller(site.signed_in(account))
    values: dict[str, Any] = {"caller": caller, "client": client(), "purge": False}
    method = getattr(rules, name)
    given = {key: values.get(key, account.id) for key in inspect.signature(method).parameters}
    given = {key: value for key, value in given.items() if key not in ("limit", "after", "text")}
    assert site.code(method(**given)) == "forbidden"
    assert site.found(site.signed_in(account)) is not None


def test_accounts_are_found_with_what_they_use(site: Site, rules: Admin, admin: Caller) -> None:
    made = site.made()
    slug_of(site.server, made.key)
    name = made.account.email.partition("@")[0]
    (usage,), following = site.call(rules.accounts(admin, name.upper() + "@"))
    assert following is None
    assert (usage.account.email, usage.used) == (made.account.email, 1)
    assert usage.account.stored_bytes > 0
    assert usage.seen_at is None
    site.call(site.sign_ins.last_used.flush())
    seen_by_key = site.call(rules.account(admin, made.account.id)).seen_at
    signed_in = site.signed_in(made.account)
    assert seen_by_key <= site.call(rules.account(admin, made.account.id)).seen_at == signed_in.session.seen_at


def test_pages_of_accounts_have_each_once(site: Site, rules: Admin, admin: Caller) -> None:
    for _ in range(3):
        site.account(None)
    listed, after = [], None
    while True:
        page, after = site.call(rules.accounts(admin, after=after, limit=2))
        listed += [usage.account.email for usage in page]
        if after is None:
            break
    everybody = [account.email for account in site.call(site.server.server.accounts.all())]
    assert sorted(listed) == sorted(everybody)
    assert listed == sorted(listed, key=str.lower)


@pytest.mark.parametrize("text", ["\ud800", "\0", "x" * 10_000])
def test_what_no_address_has_is_not_found(site: Site, rules: Admin, admin: Caller, text: str) -> None:
    assert site.call(rules.accounts(admin, text)) == ([], None)
    assert site.call(rules.accounts(admin, "", text)) == ([], None)
    assert site.code(rules.account(admin, text)) == "not_found"


def test_changes_of_accounts_are_told_in_the_audit_log(site: Site, rules: Admin, admin: Caller) -> None:
    account, here = site.account(), client()
    assert site.call(rules.put_on_plan(admin, account.id, "business", here)).plan == "business"
    assert site.code(rules.put_on_plan(admin, account.id, "gold", here)) == "bad_field"
    link = site.call(rules.make_link(admin, account.id, here))
    assert site.call(rules.disable(admin, account.id, here)).disabled
    assert site.code(site.sign_ins.by_link(link.token, here)) == "not_found"
    assert site.code(rules.make_link(admin, account.id, here)) == "bad_field"
    assert not site.call(rules.enable(admin, account.id, here)).disabled
    rows, _ = site.call(rules.audit(admin, limit=4))
    assert [(row.actor, row.subject, row.network) for row in rows] == [
        (admin.account.email, account.email, here.masked)
    ] * 4
    assert [row.action for row in rows] == ["account_enabled", "account_disabled", "link_made", "plan_set"]
    assert rows[-1].detail == "business"


def test_an_admins_own_account_stays(site: Site, rules: Admin, admin: Caller) -> None:
    assert site.code(rules.disable(admin, admin.account.id, client())) == "bad_field"
    assert site.code(rules.remove(admin, admin.account.id, client())) == "bad_field"
    assert site.call(rules.account(admin, admin.account.id)).account.disabled is False


def test_an_account_is_removed_with_its_pictures(site: Site, rules: Admin, admin: Caller) -> None:
    made, other = site.made(), site.made()
    slugs = [slug_of(site.server, made.key) for _ in range(20)]
    kept = slug_of(site.server, other.key)
    blobs = len(site.server.blobs())
    site.call(rules.remove(admin, made.account.id, client()))
    assert site.server.get(f"/f/{slugs[0]}.jpg").status_code == 404
    assert site.server.get(f"/f/{kept}.jpg").status_code == 200
    assert len(site.server.blobs()) == blobs - 20
    assert site.server.get("/api/quota", made.key).status_code == 401
    assert site.code(rules.account(admin, made.account.id)) == "not_found"
    assert site.newest_rows(1) == [(admin.account.email, "account_removed", made.account.email)]


def test_the_newest_images_are_listed_with_whose_they_are(site: Site, rules: Admin, admin: Caller) -> None:
    made, other = site.made(), site.made()
    slugs = [slug_of(site.server, made.key), slug_of(site.server, other.key, password="hush")]
    first, after = site.call(rules.newest_images(admin, limit=1))
    second, _ = site.call(rules.newest_images(admin, after, limit=1))
    found = {owned.image.slug: owned for owned in first + second}
    assert found.keys() == set(slugs)
    assert [found[slug].email for slug in slugs] == [made.account.email, other.account.email]
    assert [found[slug].image.gated for slug in slugs] == [False, True]


@pytest.mark.parametrize("cursor", ["", "x", "1.", "1.x/y", "9" * 99 + ".x", "-1.x", "\uff11.x"])
def test_a_cursor_that_is_none_is_refused(site: Site, rules: Admin, admin: Caller, cursor: str) -> None:
    assert site.code(rules.newest_images(admin, cursor)) == "bad_field"


def test_a_picture_is_blocked_and_purged_everywhere(site: Site, rules: Admin, admin: Caller) -> None:
    one, other, here = site.made(), site.made(), client()
    data = pictures.jpeg(pictures.noise(seed=9))
    slugs = [slug_of(site.server, made.key, data) for made in (one, other, other)]
    block, count = site.call(rules.block_image(admin, slugs[0], True, here))
    assert count == 3
    assert [site.server.get(f"/f/{slug}.jpg").status_code for slug in slugs] == [404] * 3
    assert site.call(rules.blocks(admin))[0] == block
    site.server.clock.advance(FRESH)
    assert site.server.upload(one.key, data).json()["code"] == "blocked"
    rows, _ = site.call(rules.audit(admin, limit=2))
    assert [(row.action, row.subject, row.detail) for row in rows] == [
        ("picture_purged", block.id, "3 copies"),
        ("picture_blocked", block.id, f"/i/{slugs[0]}"),
    ]
    site.call(rules.unblock(admin, block.id, here))
    assert site.code(rules.unblock(admin, block.id, here)) == "not_found"
    site.server.clock.advance(FRESH)
    assert site.server.upload(one.key, data).status_code == 200
    assert site.newest_rows(1) == [(admin.account.email, "picture_unblocked", block.id)]


def test_a_hash_is_blocked_if_it_is_one(site: Site, rules: Admin, admin: Caller) -> None:
    block, count = site.call(rules.block_hash(admin, "AB" * 32, False, client()))
    assert (block.sha256, count) == (b"\xab" * 32, 0)
    for text in ("", "ab", "xy" * 32, "ab" * 33):
        assert site.code(rules.block_hash(admin, text, False, client())) == "bad_field"
    assert site.code(rules.block_image(admin, "nothing", False, client())) == "not_found"


def test_invites_are_listed_and_revoked(site: Site, rules: Admin, admin: Caller) -> None:
    made = site.call(rules.make_invite(admin, "pro", "for Kim", client()))
    assert site.newest_rows(1) == [(admin.account.email, "invite_made", made.invite.id)]
    assert site.call(rules.invites(admin))[0] == made.invite
    assert (made.invite.made_by, made.invite.note) == (admin.account.email, "for Kim")
    site.call(rules.revoke_invite(admin, made.invite.id, client()))
    assert site.code(rules.revoke_invite(admin, made.invite.id, client())) == "not_found"
    assert site.code(site.services.sign_up.check(made.token)) == "not_found"
    assert site.newest_rows(1) == [(admin.account.email, "invite_revoked", made.invite.id)]
    for plan, note in (("gold", ""), ("pro", "x" * 101), ("pro", "a\nb"), ("pro", "\ud800")):
        assert site.code(rules.make_invite(admin, plan, note, client())) == "bad_field"


def test_the_audit_log_is_read_in_pages(site: Site, rules: Admin, admin: Caller) -> None:
    for _ in range(3):
        site.account(None)
    first, after = site.call(rules.audit(admin, limit=2))
    second, _ = site.call(rules.audit(admin, after, limit=2))
    both, _ = site.call(rules.audit(admin, limit=4))
    assert first + second == both
    assert site.call(rules.audit(admin, "\ud800")) == ([], None)


def test_no_more_can_be_done_by_who_is_no_admin_any_more(site: Site, rules: Admin) -> None:
    account = site.account(admin=True)
    signed_in = site.signed_in(account)
    site.call(site.server.server.accounts.set_admin(account.email, False))
    assert site.code(rules.accounts(site.caller(signed_in))) == "forbidden"
    assert site.newest_rows(1) == [("operator", "role_set", account.email)]


def test_the_state_of_the_server_and_its_history(tmp_path: Path) -> None:
    with running(tmp_path, imaging={"workers": 1}) as server:
        services, key = server.server._services, server.new_key()
        slug = slug_of(server, key)
        for _ in range(3):
            server.get(f"/f/{slug}.jpg")
        server.upload(key, b"no picture")
        counted = Totals(uploads=1, views=3, refusals={"unsupported_type": 1})
        eventually(lambda: services.metrics.totals() == counted)
        server.call(services.history.sample())
        server.clock.advance(60)
        server.call(services.history.sample())
        first, second = services.history.samples(60)
        now = server.call(services.history.now())
        assert (first.uploads, first.views, first.refusals, first.queue) == (1, 3, {"unsupported_type": 1}, 0)
        assert (second.uploads, second.views, second.refused) == (0, 0, 0)
        assert first.stored_bytes == second.stored_bytes == now.stored_bytes > 0
        assert (now.workers, now.workers_wanted, now.queue_limit) == (1, 1, 128)
        assert now.disk_bytes is None or now.disk_bytes > now.stored_bytes
        server.clock.advance(3600)
        assert services.history.samples(60) == []
        assert services.history.samples(1440) == [first, second]
