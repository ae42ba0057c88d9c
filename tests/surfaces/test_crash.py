"""kill -9 of the server, at random moments and at every boundary between two steps: nothing acknowledged is lost."""

from __future__ import annotations

import contextlib
import functools
import json
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests import pictures
from tests.running import DEADLINE, Clock, bearer, eventually
from tests.surfaces.test_cli import ROOT, command, serving, told
from tests.surfaces.test_repair import fsck, sweep

CLIENTS = 8
HOUR = 3600
CONFIG = "[limits]\napi_per_minute = 0\n[imaging]\nworkers = 2\n"
LARGE = pictures.phone_jpeg(image=pictures.noise(400, 400), quality=100)
"""More than stays in memory: its way leads through the spool."""
PICTURES = {
    "small.jpg": pictures.jpeg(),
    "phone.jpg": pictures.phone_jpeg(),
    "large.jpg": LARGE,
    "a.png": pictures.phone_png(),
    "a.gif": pictures.phone_gif(),
    "a.webp": pictures.phone_webp(),
}


def upload(url: str, key: str, name: str) -> requests.Response:
    files = {"file": (name, PICTURES[name])}
    more = {"expiration": "forever"}
    return requests.post(f"{url}/api/upload", headers=bearer(key), files=files, data=more, timeout=DEADLINE)


def fetched(url: str, slug_and_ext: str) -> bytes:
    answer = requests.get(f"{url}/f/{slug_and_ext}", timeout=DEADLINE)
    assert answer.status_code == 200, slug_and_ext
    return answer.content


def account(data: Path) -> dict[str, int]:
    listed: dict[str, int] = json.loads(command("user", "list", "--data", str(data)).stdout)
    return listed


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a server with one account and one undisturbed upload of each picture; `key`, `slugs` beside it."""
    folder = tmp_path_factory.mktemp("template")
    (folder / "config.toml").write_text(CONFIG)
    data = folder / "data"
    key = told("user", "add", "a@example.org", "--plan", "pro", "--data", str(data))["api_key"]
    with serving(data, "--config", str(folder / "config.toml")) as (_, url):
        slugs = {name: upload(url, key, name).json()["direct_url"].rpartition("/")[2] for name in PICTURES}
        for name, slug in slugs.items():
            (folder / name).write_bytes(fetched(url, slug))
            assert pictures.pixels((folder / name).read_bytes()) == pictures.pixels(PICTURES[name])
    (folder / "known.json").write_text(json.dumps({"key": key, "slugs": slugs}))
    return folder


class Crashing:
    """A copy of the template, served and killed; it knows what was acknowledged."""

    def __init__(self, template: Path, folder: Path) -> None:
        shutil.copytree(template / "data", folder / "data")
        known = json.loads((template / "known.json").read_text())
        self.data = folder / "data"
        self.key: str = known["key"]
        self.acknowledged: list[tuple[str, str]] = [(name, slug) for name, slug in known["slugs"].items()]
        self.odd: list[str] = []
        self.url: str | None = None
        self._options = ("--config", str(template / "config.toml"))
        self._stored = {name: (template / name).read_bytes() for name in PICTURES}
        self._seen = 0

    def serving(self) -> contextlib.AbstractContextManager[tuple[subprocess.Popen[str], str]]:
        return self._started(str(ROOT / "run.py"))

    def dying(self, moment: str, step: str) -> contextlib.AbstractContextManager[tuple[subprocess.Popen[str], str]]:
        """A server that dies before or after a step."""
        return self._started("-m", "tests.dying_server", moment, step)

    @contextlib.contextmanager
    def _started(self, *program: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
        arguments = [sys.executable, *program, "serve", "--data", str(self.data), "--port", "0", *self._options]
        # The log goes nowhere: into a pipe that nobody reads, a server writes until it is full, and then waits.
        with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as one:
            try:
                assert one.stdout
                yield one, one.stdout.readline().split()[-1]
            finally:
                one.kill()

    @contextlib.contextmanager
    def under_load(self, *more: Callable[[threading.Event], None]) -> Iterator[None]:
        """Clients that upload, and whatever else gets the event of the end, each in a thread until the end."""
        ended = threading.Event()
        work = [functools.partial(self.upload_forever, number) for number in range(CLIENTS)]
        clients = [threading.Thread(target=client, args=(ended,)) for client in [*work, *more]]
        for client in clients:
            client.start()
        try:
            yield
        finally:
            ended.set()
            for client in clients:
                client.join()

    def upload_forever(self, client: int, ended: threading.Event) -> None:
        """One client: upload after upload, whatever becomes of the server."""
        names = random.Random(client)
        while not ended.is_set():
            url, name = self.url, names.choice(list(PICTURES))
            try:
                answer = upload(url, self.key, name) if url else None
            except requests.RequestException:
                eventually(lambda: ended.is_set() or self.url != url, 60)  # noqa: B023
                continue
            if answer is None:
                eventually(lambda: ended.is_set() or self.url, 60)
            elif answer.status_code == 200:
                self.acknowledged.append((name, answer.json()["direct_url"].rpartition("/")[2]))
            else:
                self.odd.append(f"{answer.status_code} {answer.text}")

    def verify(self, url: str, all_of_them: bool = False) -> None:
        """Everything acknowledged (since the last time) is there, and is the right picture; all is in step."""
        assert list((self.data / "spool").iterdir()) == []
        for name, slug in self.acknowledged[0 if all_of_them else self._seen :]:
            assert fetched(url, slug) == self._stored[name]
        self._seen = len(self.acknowledged)
        lines, (records, blobs, leftovers, problems) = fsck(self.data, Clock())
        assert (lines, problems) == ([], 0)
        assert records >= len(self.acknowledged)
        assert blobs == records + leftovers


@pytest.fixture
def crashing(template: Path, tmp_path: Path) -> Crashing:
    return Crashing(template, tmp_path)


@pytest.mark.parametrize("kills", [10, pytest.param(50, marks=pytest.mark.slow)])
def test_kills_at_random_moments_lose_nothing(crashing: Crashing, kills: int) -> None:
    moments = random.Random(kills)
    with crashing.under_load():
        for _ in range(kills):
            with crashing.serving() as (process, url):
                crashing.verify(url)
                enough = len(crashing.acknowledged) + moments.randrange(1, 60)
                crashing.url = url
                eventually(lambda: len(crashing.acknowledged) >= enough)  # noqa: B023
                process.kill()
                crashing.url = None
    with crashing.serving() as (_, url):
        crashing.verify(url, all_of_them=True)
    assert crashing.odd == []
    in_the_end(crashing)
    print(f"{kills} kills, {len(crashing.acknowledged)} acknowledged, 0 lost")


def in_the_end(crashing: Crashing) -> None:
    """Counts equal records and ledger, and the bytes without a record go once they are an hour old."""
    done = command("fsck", "--data", str(crashing.data))
    assert done.returncode == 0
    assert done.stdout.endswith(", 0 problems\n")
    records = int(done.stdout.split()[0])
    assert account(crashing.data)["uploads"] == records
    leftovers = int(done.stdout.split()[4])
    clock = Clock()
    clock.advance(2 * HOUR)
    assert sweep(crashing.data, clock).get("blobs", 0) == leftovers
    assert fsck(crashing.data, clock) == ([], (records, records, 0, 0))


@pytest.mark.parametrize(
    ("moment", "step", "leftovers", "stored"),
    [
        ("before", "submit", 0, 0),
        ("after", "submit", 0, 0),
        ("before", "put", 0, 0),
        ("before", "sync", 0, 0),
        ("after", "sync", 0, 0),
        ("after", "put", 1, 0),
        ("before", "commit", 1, 0),
        ("after", "commit", 0, 1),
    ],
)
@pytest.mark.parametrize("name", ["small.jpg", "large.jpg"])
def test_a_kill_between_two_steps_of_an_upload(
    crashing: Crashing, moment: str, step: str, leftovers: int, stored: int, name: str
) -> None:
    with crashing.dying(moment, step) as (process, url):
        with pytest.raises(requests.RequestException):
            upload(url, crashing.key, name)
        assert process.wait(DEADLINE) == -9
    assert_in_step(crashing, len(PICTURES) + stored, leftovers)
    assert account(crashing.data)["uploads"] == len(PICTURES) + stored + 1  # and the one that assert_in_step made


@pytest.mark.parametrize(
    ("moment", "step", "leftovers", "deleted"),
    [
        ("before", "delete record", 0, 0),
        ("after", "delete record", 1, 1),
        ("before", "delete blob", 1, 1),
        ("after", "delete blob", 0, 1),
    ],
)
def test_a_kill_between_two_steps_of_a_deletion(
    crashing: Crashing, moment: str, step: str, leftovers: int, deleted: int
) -> None:
    _, slug = crashing.acknowledged[-1]
    with crashing.dying(moment, step) as (process, url):
        path = f"/api/images/{slug.partition('.')[0]}"
        with pytest.raises(requests.RequestException):
            requests.delete(url + path, headers=bearer(crashing.key), timeout=DEADLINE)
        assert process.wait(DEADLINE) == -9
    if deleted:
        crashing.acknowledged.pop()
    assert_in_step(crashing, len(PICTURES) - deleted, leftovers)


def assert_in_step(crashing: Crashing, records: int, leftovers: int) -> None:
    """The next server finds all as it should be, and takes up where the other ended."""
    with crashing.serving() as (_, url):
        crashing.verify(url)
        assert fsck(crashing.data, Clock()) == ([], (records, records + leftovers, leftovers, 0))
        answer = upload(url, crashing.key, "a.png")
        assert answer.status_code == 200
    clock = Clock()
    clock.advance(2 * HOUR)
    assert sweep(crashing.data, clock).get("blobs", 0) == leftovers
    assert fsck(crashing.data, clock) == ([], (records + 1, records + 1, 0, 0))
