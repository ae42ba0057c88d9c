"""Where the servers under test keep records and bytes: embedded in their data folder, or in MongoDB and S3.

With TEST_BACKENDS=distributed the surface tests run on the latter: each data folder has a database and a prefix of its
own, the same whenever a server is started on it. What makes sense with the embedded defaults alone is named here.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

CHOSEN = os.environ.get("TEST_BACKENDS", "embedded")
DATABASES = f"iuserver_test_{os.getpid()}_"
"""So the names begin of databases that this run makes; on a server that is not the tests' own they are dropped."""
_places: dict[str, str] = {}

EMBEDDED = {
    "test_bench.py": "measures the defaults",
    "test_block.py::test_what_cannot_be_done_is_told_in_one_line": "is about the command line",
    "test_bodies.py": "is about the wire",
    "test_chaos.py": "kills and fills the disk of the defaults; the suites of the ports kill the others",
    "test_cli.py::test_a_broken_catalog_is_told": "breaks the embedded catalog",
    "test_cli.py::test_a_data_folder_with_something_else_in_it_is_told": "puts something in the place of blobs",
    "test_cli.py::test_a_server_that_cannot_start_says_why_in_one_line": "is about settings",
    "test_cli.py::test_a_second_server_on_the_same_data_or_port_does_not_start": "is about the data folder",
    "test_cli.py::test_a_unix_socket_that_is_in_use_is_left_to_its_server": "is about sockets",
    "test_cli.py::test_it_listens_on_ipv6_and_on_a_unix_socket": "is about sockets",
    "test_cli.py::test_no_worker_outlives_a_server_that_is_killed": "is about the workers alone",
    "test_clients.py": "is about what clients understand",
    "test_codes.py::test_a_catalog_that_somebody_else_has_locked_is_not_available": "locks the embedded catalog",
    "test_confinement.py": "is about the workers alone",
    "test_copy_blobs.py": "names its backends itself",
    "test_copy_catalog.py": "names its backends itself",
    "test_crash.py": "dies in steps of the defaults; the suites of the ports do so in those of the others",
    "test_faults.py": "fills the disk of the defaults",
    "test_writer.py": "is about what keeps the defaults; with the others there is none",
    "test_mcp_clients.py": "is about what clients understand",
    "test_mcp_stdio.py": "is about the bridge, which knows no backend",
    "test_mcp_wire.py": "is about the wire",
    "test_memory.py": "measures the defaults",
    "test_mongo.py": "names its backends itself",
    "test_permissions.py": "is about the files of the defaults",
    "test_repair.py": "breaks files and tables of the defaults",
    "test_rogue_workers.py": "is about the workers alone",
    "test_s3_backend.py": "names its backends itself",
    "test_tickets.py::test_to_look_at_a_ticket_writes_nothing": "locks the embedded catalog",
    "test_upgrade.py": "is about a file that 0.1.0 left",
    "test_upload_command.py": "is about the client, which knows no backend",
    "test_viewing.py::test_a_failing_store_never_burns_a_picture": "breaks files; test_pages.py has it for any store",
    "test_web_costs.py": "fills the embedded catalog",
    "test_wire.py": "is about the wire",
    "test_workers.py": "is about the workers alone",
}
"""The files of surface tests, and tests of other ones (`FILE::TEST`), that look into the data folder of the embedded
defaults, or to which no backend makes a difference; and why."""


def use(mongo: str, s3: str) -> None:
    """Run servers on these from now on: URLs of a MongoDB server, and of a place in a bucket."""
    _places.update(mongo=mongo, s3=s3)


def environ_of(folder: Path | str) -> dict[str, str]:
    """The settings that tell a process with this data folder where its backends are; none for the defaults."""
    return {f"IUSERVER_{section.upper()}_URL": values["url"] for section, values in sections_of(folder).items()}


def sections_of(folder: Path | str) -> dict[str, dict[str, str]]:
    """The same as sections of settings."""
    if not _places:
        return {}
    name = hashlib.sha256(f"{_places['s3']} {Path(folder).resolve()}".encode()).hexdigest()[:16]
    place, _, query = _places["s3"].partition("?")
    catalog = with_database(_places["mongo"], f"{DATABASES}{name}")
    return {"catalog": {"url": catalog}, "blobs": {"url": f"{place}/{name}?{query}"}}


def with_database(url: str, name: str) -> str:
    """The URL of a database on a MongoDB server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def mark_embedded(items: Iterable[pytest.Item]) -> None:
    """Mark the tests that are named above."""
    for item in items:
        name = item.path.name
        if not EMBEDDED.keys().isdisjoint((name, f"{name}::{item.name.partition('[')[0]}")):
            item.add_marker(pytest.mark.embedded)
