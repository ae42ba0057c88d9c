"""The docs in step with the code: a setting, route or code without its line fails."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest

from docs.generate import pages
from iuserver import __version__, cli
from iuserver.settings import Settings, load

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def as_tables(node: Any) -> Any:
    """Settings as a TOML file gives them."""
    if dataclasses.is_dataclass(node):
        return {f.name: as_tables(getattr(node, f.name)) for f in dataclasses.fields(node)}
    return list(node) if isinstance(node, tuple) else node


def test_the_settings_file_has_every_setting_with_its_default() -> None:
    assert tomllib.loads((ROOT / "conf/iuserver.toml").read_text()) == as_tables(Settings())
    assert load(ROOT / "conf/iuserver.toml", {}) == Settings()


def test_every_setting_has_a_comment_where_it_stands_first() -> None:
    seen = set()
    for line in (ROOT / "conf/iuserver.toml").read_text().splitlines():
        key = line.partition(" =")[0]
        if " = " in line and not line.startswith("#") and key not in seen:
            seen.add(key)
            assert "#" in line or key in UNDERSTOOD, line


UNDERSTOOD = {"max_frames", "uploads_per_month", "storage_mb", "max_file_mb"}


@pytest.mark.parametrize("name", ["api.md", "clients.md"])
def test_what_is_made_from_the_code_is_up_to_date(name: str) -> None:
    """`make docs` writes it again."""
    assert (ROOT / "docs" / name).read_text() == pages()[name]


TROUBLES = {
    "more uploads at once than": "surfaces/test_upload.py::test_an_upload_that_finds_no_place_waits_for_its_turn",
    "one account sends on many": "unit/test_admission.py::test_the_places_to_send_are_bounded_in_all_and_by_account",
    "more work than can": "unit/test_admission.py::test_who_would_wait_too_long_for_a_worker_is_refused_before_sending",
    "a body that comes slower": "surfaces/test_upload.py::test_a_body_that_comes_too_slowly_is_answered_408",
    "so many uploads that to": "surfaces/test_operations.py::"
    "test_under_pressure_uploads_on_new_connections_are_refused_unheard_and_nothing_else",
    "a first line and headers": "surfaces/test_heads.py::test_a_larger_one_is_answered_431",
    "headers that do not come": "surfaces/test_operations.py::test_headers_that_do_not_come_end_their_connection",
    "a body for": "surfaces/test_bodies.py::test_a_body_that_is_too_large_for_its_route_is_refused_for_its_size",
    "a small body that does": "surfaces/test_operations.py::test_a_small_body_that_never_comes_ends_its_connection",
    "a reader that takes nothing": "surfaces/test_read.py::"
    "test_a_reader_who_takes_nothing_for_long_loses_the_connection",
    "a client that sends requests": "surfaces/test_operations.py::test_who_takes_no_answers_loses_the_connection",
    "more connections than": "surfaces/test_operations.py::test_one_connection_too_many_is_told_so_and_closed",
    "a request refused with at most": "surfaces/test_wire.py::test_a_small_body_is_read_before_it_is_refused",
    "a request refused with more": "surfaces/test_upload.py::test_a_client_that_is_already_sending_gets_its_answer",
    "requests pipelined": "surfaces/test_wire.py::test_what_is_pipelined_behind_a_refusal_is_answered_or_not_begun",
    "a body whose length": "surfaces/test_wire.py::"
    "test_what_cannot_be_framed_gets_one_answer_in_json_and_the_connection_ends",
    "what is no HTTP/1.1": "surfaces/test_wire.py::test_a_head_that_is_none_is_told_so_in_json_and_the_connection_ends",
    "a method that no route": "surfaces/test_wire.py::test_what_is_pipelined_behind_a_refusal_is_answered_or_not_begun",
    "a client that ends its side": "surfaces/test_wire.py::test_a_client_that_has_said_all_it_will_is_answered",
    "more from one address": "surfaces/test_operations.py::test_one_address_has_a_share_of_the_connections",
    "more passwords at once": "surfaces/test_viewing.py::"
    "test_many_right_passwords_at_once_hold_up_no_upload_and_no_other_viewer",
    "guesses at an account": "surfaces/test_sign_in_rules.py::"
    "test_the_sixth_wrong_password_of_a_minute_waits_and_nobody_elsewhere_does",
    "guesses at a password": "surfaces/test_viewing.py::"
    "test_guesses_of_one_image_from_everywhere_are_limited_and_lock_nobody_out",
    "a client that leaves": "surfaces/test_upload.py::test_a_client_that_leaves_in_the_middle_leaves_nothing_behind",
    "a client that is gone": "surfaces/test_wire.py::test_a_picture_whose_sender_is_gone_is_neither_stored_nor_charged",
    "a worker that answers": "surfaces/test_rogue_workers.py::"
    "test_a_worker_that_answers_what_none_does_is_killed_alone",
    "a picture that a worker could": "surfaces/test_rogue_workers.py::"
    "test_a_picture_that_a_worker_can_still_change_is_not_stored",
    "a picture that kills": "surfaces/test_workers.py::test_a_picture_that_crashes_its_parser_is_to_blame_itself",
    "the disk is full": "surfaces/test_faults.py::"
    "test_a_full_disk_is_told_charges_nothing_and_is_used_again_when_there_is_room",
    "the process that syncs": "surfaces/test_writer.py::test_a_killed_writer_costs_502_at_most",
    "the catalog is locked": "surfaces/test_codes.py::test_a_catalog_that_somebody_else_has_locked_is_not_available",
    "S3 or MongoDB is away": "surfaces/test_distributed.py::"
    "test_a_database_and_a_store_that_are_killed_under_load_lose_nothing",
    "bytes, records or counts": "surfaces/test_repair.py::test_damage_is_found_mended_and_gone",
    "the server is killed": "surfaces/test_crash.py::test_kills_at_random_moments_lose_nothing",
}
"""What each row of the operator's tables begins with, and the test that shows it."""


def test_whatever_can_go_wrong_has_a_row_and_each_row_a_test() -> None:
    tables = (ROOT / "docs/operations.md").read_text().partition("## What a client can do wrong")[2]
    rows = [row for row in re.findall(r"^\| (.+?) \|", tables, re.MULTILINE) if row != "what"]
    assert [next((words for words in TROUBLES if row.startswith(words)), row) for row in rows] == list(TROUBLES)
    for file, _, name in (test.partition("::") for test in TROUBLES.values()):
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(), name


def test_the_readme_knows_every_command() -> None:
    for name in cli.COMMANDS:
        assert f"iuserver {name} " in README


def test_the_lock_file_has_hashes_for_all_that_is_shipped_and_no_address() -> None:
    metadata = ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    locked = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    lines = [line for line in locked.splitlines() if not line.startswith("#")]
    assert all(re.match(r"[a-z0-9-]+==\S+( ; .+?)? +--hash=sha256:[0-9a-f]{64}( |$)", line) for line in lines)
    names = {line.partition("==")[0] for line in lines}
    asked = [*metadata["options"]["install_requires"].split("\n"), "setuptools"]
    assert {words.partition(" ")[0] for words in asked if words} <= names
    assert not re.search(r"://|--(extra-)?index-url|--find-links", locked)


def test_the_changelog_knows_the_version() -> None:
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_link_between_the_pages_leads_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "bench/README.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_module_says_in_its_first_line_what_it_is_for() -> None:
    for package in ("iuserver", "handlers", "bench"):
        for module in (ROOT / package).rglob("*.py"):
            if {ROOT / "bench/out", ROOT / "handlers/reference/examples"} & set(module.parents):
                continue  # what the benchmarks have installed, and what is shown as it stands
            assert module.read_text().startswith('"""'), module
