"""`iuserver upload`: a client that uploads pictures, several at a time, with a progress bar and retries.

It uses the public API alone and works with any server that implements it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import hmac
import io
import json
import os
import random
import stat
import sys
from pathlib import Path
from typing import Any, Self

import httpx
from tqdm import tqdm

from iuserver import __version__
from iuserver.cli import fail
from iuserver.cli.address import DEFAULT, PROBLEM, server_address

PARALLEL = 4
TRIES = 8
FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
LONGEST_ASKED = 600.0  # a busy server that asks for more is tried earlier: a wrong header must not stop a batch
PATIENCE = 60.0  # a limit that lasts longer than this is reported, not waited for
TIMEOUT = httpx.Timeout(60, connect=10, read=120, pool=None)  # an answer waits for the queue and for a worker
FIELDS = ("expiration", "view_limit", "password", "folder")

Answer = dict[str, Any]


class Refused(Exception):
    """Why a file was not uploaded, in a sentence."""


class Busy(Exception):
    """The same file may be taken later, after as many seconds as the server asks for."""

    def __init__(self, sentence: str, after: float = 0.0) -> None:
        super().__init__(sentence)
        self.after = after


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog = f"Environment: IMAGEUPLOAD_API_KEY, IMAGEUPLOAD_URL (default {DEFAULT}), IMAGEUPLOAD_PASSWORD."
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--expiration", metavar="E", help="1d, 1w, 1mo, burn, views or forever")
    parser.add_argument("--view-limit", type=_positive, metavar="N", help="how many views, with --expiration views")
    parser.add_argument("--password", metavar="P", help="what viewers must know; IMAGEUPLOAD_PASSWORD hides it better")
    parser.add_argument("--folder", metavar="SLUG", help="one of the account's folders")
    parser.add_argument("--json", action="store_true", help="print the server's answers, one a line, not the links")
    parser.add_argument(
        "--parallel", type=_positive, default=PARALLEL, metavar="N", help="uploads at a time (%(default)s)"
    )
    parser.add_argument(
        "--pace", type=float, default=1.0, help=argparse.SUPPRESS
    )  # stretches the waits; tests shrink it
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Upload. 0 where all is on the server, 1 where a file is not, 2 where nothing could be tried, 130 on Ctrl-C."""
    key = os.environ.get("IMAGEUPLOAD_API_KEY", "").strip()
    url = server_address(os.environ.get("IMAGEUPLOAD_URL"))
    problem = _problem(key) or (PROBLEM if url is None else None)
    if url is None or problem:
        return fail(str(problem), 2)
    try:
        return asyncio.run(_upload_all(options, url, key))
    except KeyboardInterrupt:
        return 130


def _problem(key: str) -> str | None:
    """Why nothing can be sent with this key, if so."""
    if not key:
        return "IMAGEUPLOAD_API_KEY is not set: it must hold the account's key"
    if not (key.isascii() and key.isprintable()):
        return "IMAGEUPLOAD_API_KEY holds characters that no key has"
    return None


async def _upload_all(options: argparse.Namespace, url: str, key: str) -> int:
    """Upload the files concurrently, and report each as soon as those before it have been reported."""
    total = sum(_size(file) for file in options.files)
    with tqdm(total=total, unit="B", unit_scale=True, unit_divisor=1024, disable=None, leave=False) as bar:
        async with _client(url, key) as client, asyncio.TaskGroup() as group:
            uploader = Uploader(client, _fields(options), key.encode(), bar, options)
            tasks = [group.create_task(uploader.upload(file)) for file in options.files]
            statuses = [
                _report(file, await task, options.json) for file, task in zip(options.files, tasks, strict=True)
            ]
    return max(statuses)


def _client(url: str, key: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {key}", "User-Agent": f"iuserver/{__version__}", "Accept": "application/json"}
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT)


def _fields(options: argparse.Namespace) -> dict[str, str]:
    """The form's fields, as the server judges them: what is not given or empty is left out."""
    values = {name: getattr(options, name) for name in FIELDS}
    if values["password"] is None:
        values["password"] = os.environ.get("IMAGEUPLOAD_PASSWORD")
    return {name: str(value) for name, value in values.items() if value}


def _report(file: str, outcome: Answer | Refused, as_json: bool) -> int:
    """Print a link, an answer or a refusal beside the bar, and return the exit status that it means."""
    if isinstance(outcome, Refused):
        tqdm.write(_line(f"{file}: {outcome}"), file=sys.stderr)
        return 1
    _print(json.dumps(outcome) if as_json else _line(outcome["direct_url"]))
    return 0


def _print(line: str) -> None:
    """Write a line at once, so that what reads the links may begin with the first."""
    try:
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:  # as in `| head -1`: the reader has seen enough, the uploads go on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Uploader:
    """Sends files to one server with one key and the same fields, at most so many at a time."""

    def __init__(
        self, client: httpx.AsyncClient, fields: dict[str, str], key: bytes, bar: tqdm[Any], options: argparse.Namespace
    ) -> None:
        self._client = client
        self._fields = fields
        self._key = key
        self._bar = bar
        self._pace: float = options.pace
        self._places = asyncio.Semaphore(options.parallel)

    async def upload(self, path: str) -> Answer | Refused:
        """Upload a file: the server's answer, or why there is none."""
        async with self._places:
            try:
                with WatchedFile(path, self._bar) as file:
                    digest = await asyncio.to_thread(hashlib.file_digest, file, "sha256")
                    return await self._until_taken(file, self._idempotency_key(file.title, digest.hexdigest()))
            except Refused as refused:
                return refused
            except OSError as error:
                return Refused(error.strerror or str(error))

    def _idempotency_key(self, title: str, digest: str) -> str:
        """The same in every run for the same bytes, name, options and account, and only then.

        The account's key, which a server does not keep, makes it useless to those who would guess the password from it.
        """
        parts = json.dumps([digest, title, self._fields], sort_keys=True)
        return hmac.digest(self._key, parts.encode(), "sha256").hex()

    async def _until_taken(self, file: WatchedFile, idempotency_key: str) -> Answer:
        """Try until the server takes or refuses the file. Raises Refused, after the last try too."""
        attempt = 1
        while True:
            try:
                return await self._try(file, idempotency_key)
            except Busy as busy:
                if attempt == TRIES:
                    raise Refused(f"{busy} (tried {TRIES} times)") from busy
                self._bar.set_postfix_str("waiting")
                await asyncio.sleep(self._pace * _wait(attempt, busy.after))
            attempt += 1

    async def _try(self, file: WatchedFile, idempotency_key: str) -> Answer:
        """Send the file once, from its beginning. Raises Busy or Refused."""
        self._bar.set_postfix_str("")
        try:
            response = await self._client.post(
                "/api/upload",
                data=self._fields,
                files={"file": (file.title, file)},
                headers={"Idempotency-Key": idempotency_key},
            )
        except httpx.LocalProtocolError as error:
            raise Refused("The file changed while it was sent") from error
        except (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError) as error:
            raise Busy(f"No answer from {self._client.base_url}: {error or type(error).__name__}") from error
        except httpx.HTTPError as error:
            raise Refused(str(error)) from error
        return _judged(response)


class WatchedFile(io.FileIO):
    """A regular file that moves the bar when httpx reads it, and moves it back when httpx goes back for another try.

    Hashing does not move it: that reads into a buffer of its own.
    """

    def __init__(self, path: str, bar: tqdm[Any]) -> None:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError(None, "Not a regular file")  # opening a pipe would wait for somebody who writes
        super().__init__(path)
        self._bar = bar
        self._shown = 0
        self._size = os.fstat(self.fileno()).st_size
        self.title = os.fsencode(Path(path).name).decode("utf-8", "replace")

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size)
        self._show(self._shown + len(data))
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        position = super().seek(offset, whence)
        self._show(position)
        return position

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._show(self._size)  # done with, sent or refused: the bar gets to its end
        self.close()

    def _show(self, position: int) -> None:
        self._bar.update(position - self._shown)
        self._shown = position


def _judged(response: httpx.Response) -> Answer:
    """The answer to a stored picture. Raises Busy or Refused for any other."""
    answer = _object(response)
    if response.status_code == 200 and isinstance(answer.get("direct_url"), str):
        return answer
    sentence = answer.get("error") or f"Not the answer of an upload server: {response.status_code}"
    after = _retry_after(response)
    if response.status_code == 503:
        raise Busy(str(sentence), after or 0.0)
    if answer.get("code") in {"rate_limited", "in_progress"} and after is not None and after <= PATIENCE:
        raise Busy(str(sentence), after)
    raise Refused(str(sentence))


def _object(response: httpx.Response) -> Answer:
    """The JSON object in a response, empty where there is none."""
    with contextlib.suppress(ValueError):
        answer = response.json()
        if isinstance(answer, dict):
            return answer
    return {}


def _retry_after(response: httpx.Response) -> float | None:
    """The seconds a server asks for. One that names a date is tried like one that says nothing."""
    value: str = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None


def _wait(attempt: int, asked: float) -> float:
    """How long to wait after a try: at least as asked, longer each time, and never twice the same.

    It grows even if the server names a time: uploads with the same Retry-After would come back together.
    """
    backoff = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (attempt - 1))
    return max(min(asked, LONGEST_ASKED), backoff) * random.uniform(1, 1.5)  # noqa: S311  (no secret)


def _size(path: str) -> int:
    """A file's size; 0 if it cannot be read, which is reported when the file is uploaded."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _line(text: str) -> str:
    """A text of somebody else's on one line, unable to command a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
