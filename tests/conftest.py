"""What all tests share: a server a module, a log in which nothing unexpected may stand, the extra corpus."""

from __future__ import annotations

import csv
import functools
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import settings

from handlers.routes import ROUTES
from tests import backends
from tests.described import Judge
from tests.mongo_server import mongo_url, new_database
from tests.running import RunningServer, running
from tests.s3_server import location, own_s3, s3_endpoint, s3_url

__all__ = ["own_s3", "s3_endpoint", "s3_url"]

settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")  # a red run is a change's own; `make fuzz` looks for examples that are new

ALLOWED_LOG_LINES = [
    r"^request$",  # the access log
    r"^workers are confined without ",  # on a kernel that lacks a part
    r"^swept: ",  # the janitor, when a test has set the clock forward
]


class LogGuard(logging.Handler):
    """Collects every line that no test has announced."""

    def __init__(self) -> None:
        super().__init__()
        self.allowed = list(ALLOWED_LOG_LINES)
        self.unexpected: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.INFO and not any(re.search(pattern, text) for pattern in self.allowed):
            self.unexpected.append(f"{record.name} {record.levelname} {text} {record.exc_text or ''}")

    def allow(self, pattern: str) -> None:
        """Expect lines that match a pattern, in this test."""
        self.allowed.append(pattern)


@pytest.fixture(autouse=True)
def log_guard() -> Iterator[LogGuard]:
    """A log line outside the allow-list fails the test."""
    guard = LogGuard()
    root = logging.getLogger()
    root.addHandler(guard)
    level = root.level
    root.setLevel(logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("aiobotocore").setLevel(logging.WARNING)
    logging.getLogger("pyvips").setLevel(logging.ERROR)  # the tests' own look at pictures
    yield guard
    root.setLevel(level)
    root.removeHandler(guard)
    assert guard.unexpected == []


@pytest.fixture(autouse=True)
def as_described(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An answer of the server's that is not as its OpenAPI document says fails the test."""
    send, found = requests.Session.send, []

    def judged(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        answer = send(session, request, **options)
        for each in (*answer.history, answer):
            if each.headers.get("Server") == "iuserver":
                found.extend(judge().differences(each, read=not options.get("stream")))
        return answer

    monkeypatch.setattr(requests.Session, "send", judged)
    yield
    assert found == []


@functools.cache
def judge() -> Judge:
    """The description of all routes."""
    return Judge(ROUTES)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    backends.mark_embedded(items)


@pytest.fixture(scope="session", autouse=True)
def chosen_backends(request: pytest.FixtureRequest) -> None:
    """With TEST_BACKENDS=distributed, the MongoDB and the S3 server on which all servers of this run are."""
    if backends.CHOSEN == "distributed":
        mongo, endpoint = request.getfixturevalue("mongo"), request.getfixturevalue("s3_endpoint")
        backends.use(mongo, location(endpoint))
    elif backends.CHOSEN != "embedded":
        raise pytest.UsageError("TEST_BACKENDS is embedded or distributed")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with the default settings but for the rate limit, shared by a module's tests."""
    with running(tmp_path_factory.mktemp("data"), limits={"api_per_minute": 0}, imaging={"workers": 2}) as server:
        yield server


@pytest.fixture(scope="session")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a MongoDB server that all tests share."""
    with mongo_url(tmp_path_factory.mktemp("mongo")) as url:
        yield url


@pytest.fixture
def mongo_database(mongo: str) -> str:
    """The URL of a database of the test's own."""
    return new_database(mongo)


def folder_of(variable: str) -> Path | None:
    """The folder of pictures that an environment variable names. Named but missing fails the whole run."""
    name = os.environ.get(variable)
    if not name:
        return None
    folder = Path(name)
    if not (folder / "MANIFEST.tsv").is_file():
        raise pytest.UsageError(f"{variable} names {name}, but there is no MANIFEST.tsv")
    return folder


def rows_of(folder: Path | None) -> list[dict[str, str]]:
    """The rows of a folder's manifest."""
    if folder is None:
        return []
    with (folder / "MANIFEST.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def corpus_folder() -> Path | None:
    """The extra corpus, where TEST_CORPUS names one."""
    return folder_of("TEST_CORPUS")


def corpus() -> list[dict[str, str]]:
    """The rows of the corpus' manifest."""
    return rows_of(corpus_folder())


def cases_folder() -> Path | None:
    """Pictures that were once stored or refused wrongly, where TEST_CASES names them."""
    return folder_of("TEST_CASES")


def cases() -> list[dict[str, str]]:
    """The rows of the cases' manifest; where one says "same", with what the row before it expects."""
    rows, expected = rows_of(cases_folder()), ""
    for row in rows:
        expected = row["expected"] = expected if row["expected"] == "same" else row["expected"]
    return rows


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    folder = corpus_folder()
    told = f"corpus: {len(corpus())} files" if folder else "corpus: none (TEST_CORPUS is not set)"
    terminalreporter.write_line(told)
    terminalreporter.write_line(f"cases: {len(cases())} files" if cases() else "cases: none (TEST_CASES is not set)")
