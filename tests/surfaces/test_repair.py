"""The janitor, `iuserver sweep` and `iuserver fsck`: what they find, what they repair, and what they leave alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import requests

from iuserver import janitor as janitors
from iuserver.blobs.disk import DiskBlobs
from iuserver.catalog.sqlite import SqliteCatalog
from iuserver.janitor import Janitor, Report
from iuserver.policy import DAY, audit_id, month_of
from iuserver.records import Account, AuditRow, Charge, Image, Invite, Session, SignInLink
from iuserver.server import janitor_of, opened_janitor, opened_library
from iuserver.settings import Settings
from tests import pictures
from tests.conftest import LogGuard
from tests.running import DEADLINE, Clock, bearer, changed, eventually, running
from tests.surfaces.test_cli import command, serving

HOUR = 3600
ACCOUNT = Account("a1", "one@example.org", "free", b"h" * 32, "abcd", 100)
KEYS = [f"{number:02x}{number:030x}" for number in range(3)]


def settings_for(data: Path) -> Settings:
    return changed(Settings(), {"server": {"data": str(data)}})


async def fill(data: Path, clock: Clock) -> None:
    """Three images of one account, of 100, 101 and 102 bytes; the first expires in a day."""
    catalog, blobs = SqliteCatalog(data / "catalog.db"), DiskBlobs(data / "blobs")
    now = int(clock())
    charge = Charge(ACCOUNT.id, ACCOUNT.key_hash, int(now), month_of(now), 0, 0)
    await catalog.add_account(ACCOUNT)
    for number, key in enumerate(KEYS):
        (data / "file").write_bytes(b"x" * (100 + number))
        await blobs.put(key, str(data / "file"))
        (data / "file").unlink()
        facts = ("p.jpg", "jpg", "image/jpeg", 100 + number, 3, 2)
        expires_at = now + DAY if number == 0 else None
        more = ("1d", expires_at, None, None, None, "api", now)
        await catalog.commit_upload(Image(f"slug{number}", key, ACCOUNT.id, *facts, *more), charge)  # type: ignore[arg-type]
    await catalog.close()
    await blobs.close()


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.set(1_800_014_400)  # in the middle of a month
    return clock


@pytest.fixture
def data(tmp_path: Path, clock: Clock) -> Path:
    asyncio.run(fill(tmp_path, clock))
    (tmp_path / "spool").mkdir()
    for key in KEYS:
        age(blob(tmp_path, key), clock, 0)
    return tmp_path


def blob(data: Path, key: str) -> Path:
    return data / "blobs" / key[:2] / key


def age(path: Path, clock: Clock, seconds: float) -> None:
    """Let a file be of an age, by the test's clock."""
    os.utime(path, (0, clock() - seconds))


def sql(data: Path, statement: str) -> None:
    connection = sqlite3.connect(data / "catalog.db")
    with connection:
        assert connection.execute(statement).rowcount > 0
    connection.close()


def with_janitor(data: Path, clock: Clock, work: Callable[[Janitor], Awaitable[Any]]) -> Any:
    async def opened() -> Any:
        async with opened_janitor(settings_for(data), clock) as janitor:
            return await work(janitor)

    return asyncio.run(opened())


def fsck(data: Path, clock: Clock, repair: bool = False) -> tuple[list[str], tuple[int, int, int, int]]:
    """The lines that are told, and records, blobs, leftovers, problems."""
    lines: list[str] = []
    check = with_janitor(data, clock, lambda janitor: janitor.check(lines.append, repair))
    return lines, (check.records, check.blobs, check.leftovers, check.problems)


def sweep(data: Path, clock: Clock) -> dict[str, int]:
    """What a sweep has done, without the zeros."""
    report = with_janitor(data, clock, lambda janitor: janitor.sweep())
    return {name: count for name, count in asdict(report).items() if count}


# fsck


def test_where_all_is_in_step_there_is_nothing_to_tell(data: Path, clock: Clock) -> None:
    assert fsck(data, clock) == ([], (3, 3, 0, 0))
    assert fsck(data, clock, repair=True) == ([], (3, 3, 0, 0))
    assert sweep(data, clock) == {}


def delete_a_blob(data: Path, clock: Clock) -> None:
    blob(data, KEYS[1]).unlink()


def delete_a_record(data: Path, clock: Clock) -> None:
    sql(data, "DELETE FROM images WHERE slug = 'slug1'")


def delete_an_old_record(data: Path, clock: Clock) -> None:
    sql(data, "DELETE FROM images WHERE slug = 'slug1'")
    age(blob(data, KEYS[1]), clock, HOUR + 1)


def leave_half_a_blob(data: Path, clock: Clock) -> None:
    path = blob(data, KEYS[1]).with_suffix(".tmp")
    path.write_bytes(b"half")
    age(path, clock, HOUR + 1)


def leave_a_spool_file(data: Path, clock: Clock) -> None:
    path = data / "spool" / "f.in"
    path.write_bytes(b"half")
    age(path, clock, HOUR + 1)


def by_sql(statement: str) -> Callable[[Path, Clock], None]:
    return lambda data, clock: sql(data, statement)


OF_NOBODY = "INSERT INTO sign_in_links VALUES (x'00', 'nobody', 0, 1, 9999999999)"


DAMAGE: list[tuple[Callable[[Path, Clock], None], str, tuple[int, int, int, int], tuple[int, int, int, int]]] = [
    (delete_a_blob, "image slug1: blob .* is missing", (3, 2, 0, 1), (2, 2, 0, 0)),
    (delete_a_record, "account .*: stored bytes 303, by the records 202", (2, 3, 1, 1), (2, 3, 1, 0)),
    (delete_an_old_record, f"blob {KEYS[1]}: has no record", (2, 3, 0, 2), (2, 2, 0, 0)),
    (leave_half_a_blob, r"blob .*\.tmp: has no record", (3, 4, 0, 1), (3, 3, 0, 0)),
    (leave_a_spool_file, r"spool file f\.in: nobody's", (3, 3, 0, 1), (3, 3, 0, 0)),
    (by_sql("DELETE FROM ledger WHERE slug = 'slug1'"), "uploads 3, by the ledger 2", (3, 3, 0, 1), (3, 3, 0, 0)),
    (by_sql("UPDATE accounts SET used = 7"), "uploads 7, by the ledger 3", (3, 3, 0, 1), (3, 3, 0, 0)),
    (by_sql("UPDATE accounts SET stored_bytes = 7"), "stored bytes 7, by the", (3, 3, 0, 1), (3, 3, 0, 0)),
    (by_sql(OF_NOBODY), "1 sessions or sign-in links belong to no account", (3, 3, 0, 1), (3, 3, 0, 0)),
    (by_sql("UPDATE accounts SET month = '2001-01'"), "uploads 0, by the ledger 3", (3, 3, 0, 1), (3, 3, 0, 0)),
]


@pytest.mark.parametrize(("damage", "told", "found", "repaired"), DAMAGE)
def test_damage_is_found_mended_and_gone(
    data: Path,
    clock: Clock,
    damage: Callable[[Path, Clock], None],
    told: str,
    found: tuple[int, int, int, int],
    repaired: tuple[int, int, int, int],
) -> None:
    damage(data, clock)
    lines, counted = fsck(data, clock)
    assert counted == found
    assert len(lines) == found[3]
    with pytest.raises(AssertionError, match=told):
        raise AssertionError("\n".join(lines))
    assert fsck(data, clock) == (lines, counted)  # to look changes nothing
    assert fsck(data, clock, repair=True)[1] == repaired
    assert fsck(data, clock) == ([], repaired)


def test_what_signs_in_goes_when_its_time_is_over_and_the_audit_log_after_a_year(data: Path, clock: Clock) -> None:
    async def sign_in(janitor: Janitor) -> None:
        catalog, now = janitor.catalog, int(clock())
        (account,) = await catalog.accounts()
        for number, (made, seen) in enumerate([(89, 0), (91, 0), (31, 29), (31, 31)]):
            at = (now - made * DAY, now - seen * DAY)
            await catalog.add_session(Session(bytes([number]) * 32, account.id, 0, "", "", *at), 9)
        for number, until in enumerate([now - 1, now + 1]):
            await catalog.add_link(SignInLink(bytes([number]) * 32, account.id, 0, 0, until))
            await catalog.add_invite(Invite(bytes([number]) * 32, "free", "", "", 0, until))
        for days in (364, 366):
            at = now - days * DAY
            await catalog.add_audit(AuditRow(audit_id(at, "x"), at, "operator", "plan_set", "", "", "-"))

    with_janitor(data, clock, sign_in)
    assert sweep(data, clock) == {"sessions": 2, "links": 1, "invites": 1, "audit": 1}
    assert sweep(data, clock) == {}
    left = with_janitor(data, clock, lambda janitor: janitor.catalog.audit_page(None, 9))
    assert len(left) == 1


def test_sessions_of_nobody_are_ended_by_a_sweep(data: Path, clock: Clock) -> None:
    by_sql(OF_NOBODY)(data, clock)
    assert sweep(data, clock) == {"sessions": 1}


def test_a_record_without_bytes_gives_them_back_but_stays_counted(data: Path, clock: Clock) -> None:
    delete_a_blob(data, clock)
    fsck(data, clock, repair=True)
    (account,) = with_janitor(data, clock, lambda janitor: janitor.catalog.accounts())
    assert (account.used, account.stored_bytes) == (3, 202)


def test_a_blob_of_a_wrong_size_stays_a_problem(data: Path, clock: Clock) -> None:
    blob(data, KEYS[1]).write_bytes(b"short")
    for repair in (False, True):
        lines, counted = fsck(data, clock, repair)
        assert lines == [f"image slug1: blob {KEYS[1]} has 5 bytes, the record says 101"]
        assert counted == (3, 3, 0, 1)


def test_much_is_compared_in_batches(data: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(janitors, "BATCH", 2)
    monkeypatch.setattr(janitors, "DELETIONS", 2)
    delete_an_old_record(data, clock)
    assert fsck(data, clock)[1] == (2, 3, 0, 2)
    assert sweep(data, clock) == {"blobs": 1, "counts": 1}
    assert fsck(data, clock) == ([], (2, 2, 0, 0))


# Sweeping


def test_where_all_records_are_gone_a_sweep_removes_no_bytes(data: Path, clock: Clock) -> None:
    """It is more likely that the catalog has been lost than that all images have."""
    sql(data, "DELETE FROM images")
    clock.advance(10 * HOUR)
    assert "blobs" not in sweep(data, clock)
    assert all(blob(data, key).exists() for key in KEYS)


def test_an_expired_image_goes_with_its_bytes_but_stays_counted(data: Path, clock: Clock) -> None:
    clock.advance(DAY - 1)
    assert sweep(data, clock) == {}
    clock.advance(1)
    assert sweep(data, clock) == {"expired": 1}
    assert not blob(data, KEYS[0]).exists()
    assert fsck(data, clock) == ([], (2, 2, 0, 0))
    (account,) = with_janitor(data, clock, lambda janitor: janitor.catalog.accounts())
    assert (account.used, account.stored_bytes) == (3, 203)


def use_up(data: Path, clock: Clock) -> None:
    """Let the third image burn, and be seen."""
    now = int(clock())
    sql(
        data,
        "UPDATE images SET expiration = 'burn', views = 1, password_hash = 'x', "
        f"viewed_at = {now}, let_go_at = {now + 60} WHERE slug = 'slug2'",
    )


def test_what_all_have_seen_goes_from_the_disk_and_leaves_a_tombstone(data: Path, clock: Clock) -> None:
    use_up(data, clock)
    clock.advance(59)
    assert sweep(data, clock) == {}
    assert fsck(data, clock) == ([], (3, 3, 0, 0))
    clock.advance(1)
    assert sweep(data, clock) == {"buried": 1}
    assert not blob(data, KEYS[2]).exists()
    assert fsck(data, clock) == ([], (2, 2, 0, 0))
    (account,) = with_janitor(data, clock, lambda janitor: janitor.catalog.accounts())
    assert (account.used, account.stored_bytes) == (3, 201)
    clock.advance(30 * DAY - 61)
    assert sweep(data, clock) == {"expired": 1}, "the first image; the tombstone has a second left"
    clock.advance(1)
    assert sweep(data, clock) == {"expired": 1}
    assert with_janitor(data, clock, lambda janitor: janitor.catalog.image("slug2")) is None


def test_bytes_that_outlive_their_burial_are_swept(data: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the server is killed between the two."""
    use_up(data, clock)
    clock.advance(60)

    async def killed(self: DiskBlobs, key: str) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(DiskBlobs, "delete", killed)
        with pytest.raises(asyncio.CancelledError):
            sweep(data, clock)
    assert fsck(data, clock) == ([], (2, 3, 1, 0))
    clock.advance(HOUR)
    assert fsck(data, clock)[0] == [f"blob {KEYS[2]}: has no record"]
    assert sweep(data, clock) == {"blobs": 1}
    assert fsck(data, clock) == ([], (2, 2, 0, 0))


def test_ledger_rows_and_slugs_are_forgotten_when_their_time_is_over(data: Path, clock: Clock) -> None:
    clock.advance(DAY)
    sweep(data, clock)  # the first image has expired: its slug is kept for thirty days
    clock.advance(30 * DAY)
    assert sweep(data, clock) == {"slugs": 1}
    clock.advance(31 * DAY)
    assert sweep(data, clock) == {"ledger": 3}
    assert fsck(data, clock)[1][3] == 0


def test_bytes_of_an_upload_on_its_way_are_left_alone_however_slow_it_is(data: Path, clock: Clock) -> None:
    """Its spool file and its blob are of the same age: they may be the same file."""
    delete_an_old_record(data, clock)
    sql(data, "UPDATE accounts SET stored_bytes = 202")
    spooled = data / "spool" / f"{KEYS[1]}.out"
    spooled.write_bytes(b"")
    age(spooled, clock, HOUR + 1)

    async def beside_a_server(janitor: Janitor) -> Report:
        return await janitor_of(janitor.library, data, serving=lambda: True).sweep()

    assert not with_janitor(data, clock, beside_a_server)
    assert spooled.exists()
    assert blob(data, KEYS[1]).exists()
    age(spooled, clock, DAY + 1)
    assert with_janitor(data, clock, beside_a_server) == Report(spool=1, blobs=1)


def test_young_spool_files_stay_and_old_ones_go(data: Path, clock: Clock) -> None:
    for name, seconds in (("young.in", HOUR - 60), ("old.in", HOUR + 60)):
        (data / "spool" / name).write_bytes(b"x")
        age(data / "spool" / name, clock, seconds)
    assert sweep(data, clock) == {"spool": 1}
    assert [path.name for path in (data / "spool").iterdir()] == ["young.in"]


def test_two_sweeps_at_once_do_everything_once(data: Path, clock: Clock) -> None:
    delete_an_old_record(data, clock)
    clock.advance(DAY)

    async def twice(janitor: Janitor) -> list[Report]:
        return await asyncio.gather(janitor.sweep(), janitor.sweep())

    reports = with_janitor(data, clock, twice)
    assert sum(report.expired for report in reports) == 1
    assert fsck(data, clock) == ([], (1, 1, 0, 0))


ALL_STEPS = {
    "expired": 2,
    "buried": 1,
    "spool": 1,
    "ledger": 1,
    "keys": 1,
    "slugs": 1,
    "grants": 1,
    "blobs": 1,
    "counts": 1,
}


def give_all_steps_work(data: Path, clock: Clock) -> None:
    use_up(data, clock)
    clock.advance(DAY)
    statements = [
        f"UPDATE images SET expires_at = {int(clock())} WHERE slug = 'slug1'",
        "INSERT INTO ledger VALUES ('2020-01', 'a1', 'blob', 'old')",
        "INSERT INTO idempotency_keys (account_id, key, claimed_at, lease_until) VALUES ('a1', 'old', 1, 1)",
        "INSERT INTO kept_slugs VALUES ('old', 1)",
        "INSERT INTO grants VALUES ('old', x'00', 1)",
        "UPDATE accounts SET used = 7",
    ]
    for statement in statements:
        sql(data, statement)
    orphan = blob(data, "ff" * 16)
    orphan.parent.mkdir(exist_ok=True)
    for file in (orphan, data / "spool" / "old.in"):
        file.write_bytes(b"x")
        age(file, clock, 2 * HOUR)


@pytest.mark.parametrize(
    ("step", "operation"),
    [
        ("expired", "DELETE ON images WHEN OLD.slug = 'slug0'"),
        ("buried", "UPDATE ON images WHEN NEW.buried_at IS NOT NULL"),
        ("ledger", "DELETE ON ledger"),
        ("keys", "DELETE ON idempotency_keys"),
        ("slugs", "DELETE ON kept_slugs"),
        ("grants", "DELETE ON grants"),
        ("counts", "UPDATE ON accounts WHEN NEW.used <> OLD.used"),
    ],
)
def test_what_fails_in_one_step_holds_up_nothing_else(
    data: Path, clock: Clock, log_guard: LogGuard, step: str, operation: str
) -> None:
    """One image, row or account that the catalog will not let go of, as when somebody is busy with it."""
    log_guard.allow(f"^a step of the janitor failed: {step}")
    give_all_steps_work(data, clock)
    with contextlib.closing(sqlite3.connect(data / "catalog.db")) as connection:
        connection.execute(f"CREATE TRIGGER busy BEFORE {operation} BEGIN SELECT RAISE(ABORT, 'busy'); END")
    done = ALL_STEPS | {step: ALL_STEPS[step] - 1, "failed": 1}
    assert sweep(data, clock) == {name: count for name, count in done.items() if count}
    assert sweep(data, clock) == {"failed": 1}, "it is tried again"
    with contextlib.closing(sqlite3.connect(data / "catalog.db")) as connection:
        connection.execute("DROP TRIGGER busy")
    assert sweep(data, clock) == {step: 1}
    assert fsck(data, clock)[1][3] == 0


def test_a_file_that_cannot_be_removed_holds_up_no_other(data: Path, clock: Clock, log_guard: LogGuard) -> None:
    log_guard.allow("^a step of the janitor failed: spool")
    give_all_steps_work(data, clock)
    stuck = data / "spool" / "folder"
    stuck.mkdir()
    age(stuck, clock, 2 * HOUR)
    assert sweep(data, clock) == {**ALL_STEPS, "failed": 1}


def test_failures_of_the_janitor_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_guard: LogGuard) -> None:
    """In the metrics of a server, by step, and by the exit status of the command."""
    log_guard.allow("^a step of the janitor failed: expired")
    monkeypatch.setattr(janitors, "PAUSE", 0.01)
    with running(tmp_path, metrics={"token": "s3cret"}, imaging={"workers": 1}) as server:
        key = server.new_key()
        slugs = [server.upload(key, pictures.jpeg(), expiration="1d").json()["slug"] for _ in range(3)]
        with contextlib.closing(sqlite3.connect(tmp_path / "catalog.db")) as connection:
            when = f"WHEN OLD.slug = '{slugs[0]}'"
            connection.execute(
                f"CREATE TRIGGER busy BEFORE DELETE ON images {when} BEGIN SELECT RAISE(ABORT, 'busy'); END"
            )
        server.clock.advance(DAY)
        eventually(lambda: len(server.files("blobs")) == 1)
        told = 'iuserver_janitor_failures_total{step="expired"}'
        eventually(lambda: told in server.get("/metrics", "s3cret").text)
        eventually(lambda: 'iuserver_swept_total{kind="expired"} 2.0' in server.get("/metrics", "s3cret").text)
    with contextlib.closing(sqlite3.connect(tmp_path / "catalog.db")) as connection, connection:
        connection.execute("UPDATE images SET expires_at = 1")
    swept = command("sweep", "--data", str(tmp_path))
    assert (swept.returncode, json.loads(swept.stdout)["failed"]) == (1, 1)
    assert "a step of the janitor failed: expired" in swept.stderr


# In the server


def test_the_server_sweeps_in_the_background_and_a_failure_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_guard: LogGuard
) -> None:
    log_guard.allow("^a step of the janitor failed: expired$")
    monkeypatch.setattr(janitors, "PAUSE", 0.01)
    failures = iter([True])
    delete_expired = Janitor._delete_expired

    async def failing_once(self: Janitor, report: Report) -> int:
        if next(failures, False):
            raise RuntimeError("the first time")
        return await delete_expired(self, report)

    monkeypatch.setattr(Janitor, "_delete_expired", failing_once)
    with running(tmp_path, imaging={"workers": 1}) as server:
        key = server.new_key("pro")
        assert server.upload(key, pictures.jpeg(), expiration="1d").status_code == 200
        assert server.upload(key, pictures.jpeg(), expiration="forever").status_code == 200
        server.clock.advance(DAY)
        eventually(lambda: len(server.files("blobs")) == 1)
        assert next(failures, None) is None


def test_uploads_and_deletions_go_on_beside_the_janitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sweeps without a pause, and takes everything without a record for old enough."""
    monkeypatch.setattr(janitors, "PAUSE", 0)
    monkeypatch.setattr(janitors, "PAUSES_A_SWEEP", 1)
    monkeypatch.setattr(janitors, "HOUR", -1)
    monkeypatch.setattr(janitors, "GRACE", 0)
    kept: list[str] = []
    failures: list[object] = []
    with running(tmp_path, limits={"api_per_minute": 0}, imaging={"workers": 2}) as server:
        key = server.new_key("pro")

        def work() -> None:
            for number in range(30):
                answer = server.upload(key, pictures.jpeg())
                if answer.status_code != 200:
                    failures.append(answer.text)
                elif number % 2:
                    kept.append(answer.json()["direct_url"])
                else:
                    slug = answer.json()["slug"]
                    requests.delete(f"{server.url}/api/images/{slug}", headers=bearer(key), timeout=DEADLINE)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(kept) == 60
        assert {server.get(url).status_code for url in kept} == {200}
        lines, counted = fsck(server.data, Clock())
        assert (lines, counted) == ([], (60, 60, 0, 0))


# The commands


def test_the_commands_work_beside_a_server_and_without_one(tmp_path: Path) -> None:
    options = ("--data", str(tmp_path))
    nothing = asdict(Report())
    with serving(tmp_path):
        spooled = tmp_path / "spool" / "f.in"
        spooled.write_bytes(b"x")
        os.utime(spooled, (0, Clock()() - 2 * HOUR))
        assert json.loads(command("sweep", *options).stdout) == nothing
        assert command("fsck", *options).stdout == "0 records, 0 blobs, 0 leftovers, 0 problems\n"
    found = command("fsck", *options)
    assert (found.returncode, found.stderr) == (1, "")
    assert found.stdout == "spool file f.in: nobody's\n0 records, 0 blobs, 0 leftovers, 1 problems\n"
    assert json.loads(command("sweep", *options).stdout) == {**nothing, "spool": 1}
    repaired = command("fsck", "--repair", *options)
    assert (repaired.returncode, repaired.stderr) == (0, "")


def test_repair_ends_well_when_nothing_stays(data: Path) -> None:
    delete_a_blob(data, Clock())
    for path in (data / "blobs").rglob("0*"):
        if path.is_file():
            os.utime(path)
    assert command("fsck", "--data", str(data)).returncode == 1
    done = command("fsck", "--repair", "--data", str(data))
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "2 records, 2 blobs, 0 leftovers, 0 problems"


@pytest.mark.parametrize("name", ["sweep", "fsck"])
def test_without_a_catalog_nothing_is_judged(tmp_path: Path, name: str) -> None:
    """A new one would know no blob."""
    done = command(name, "--data", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"iuserver: server.data: there is no catalog in {tmp_path}\n"
    assert list(tmp_path.iterdir()) == []


def test_the_library_opens_where_there_is_none(tmp_path: Path) -> None:
    """But what is opened to make something may make it."""

    async def work() -> None:
        async with opened_library(settings_for(tmp_path)):
            assert (tmp_path / "catalog.db").exists()

    asyncio.run(work())
