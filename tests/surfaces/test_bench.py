"""The benchmarks, run as an operator runs them, only shorter: that they measure, not what they measure."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench import sender
from bench.request import Request, get
from tests import pictures
from tests.running import RunningServer, eventually
from tests.surfaces.test_cli import ROOT, command, told

BENCH = [sys.executable, "-m", "bench"]
TINY = ["--sender", "own", "--seconds", "0.2", "--connections", "4", "--python", sys.executable]


def bench(folder: Path, *arguments: str, **environ: str) -> Any:
    """Run a scenario on a folder and return what it has kept."""
    run = [*BENCH, *arguments, *TINY, "--data", str(folder), "--out", str(folder / "figures")]
    done = subprocess.run(run, cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert str(folder / "figures.json") in done.stdout
    return json.loads((folder / "figures.json").read_text())


def test_uploads_are_measured_beside_the_yardstick_in_rounds(tmp_path: Path) -> None:
    kept = bench(tmp_path, "upload", "--only", "46 KB", "--rounds", "2", "--beside", "bare")
    assert (kept["scenario"], kept["headline"], kept["subject"]) == ("upload", "per_second", "iuserver")
    contenders = kept["cases"]["46 KB"]
    assert set(contenders) == set(kept["does"]) == {"iuserver", "bare"}
    for entry in contenders.values():
        assert len(entry["rounds"]) == 2
        for figures in entry["rounds"]:
            assert figures["requests"] >= 4
            assert figures["refused"] == figures["failed"] == 0
            assert 0 < figures["p50_ms"] <= figures["p99_ms"] <= figures["p999_ms"]
            assert figures["server_us"] > 0
            assert figures["pss_mb"] > 5
        spread = entry["figures"]["per_second"]
        assert 0 < spread["low"] <= spread["median"] <= spread["high"]
    pairs = zip(*(contenders[name]["rounds"] for name in ("iuserver", "bare")), strict=True)
    ratios = [ours["per_second"] / bare["per_second"] for ours, bare in pairs]
    assert kept["ratios"]["46 KB"]["bare"]["low"] == min(ratios)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_uploads_by_an_agent_are_measured_beside_those_by_rest(tmp_path: Path) -> None:
    """A refusal by MCP has status 200, too: that the workers had work shows that pictures were stored."""
    kept = bench(tmp_path, "upload", "--only", "46 KB", "--rounds", "1", "--beside", "mcp")
    (rest,), (mcp,) = (kept["cases"]["46 KB"][name]["rounds"] for name in ("iuserver", "mcp"))
    assert mcp["requests"] >= 4
    assert mcp["workers_us"] > rest["workers_us"] / 3


def test_a_server_that_runs_already_is_measured_by_its_url(server: RunningServer, tmp_path: Path) -> None:
    kept = bench(
        tmp_path, "read", "--only", "46 KB", "--rounds", "1", "--url", server.url,
        IMAGEUPLOAD_API_KEY=server.new_key("pro"),
    )  # fmt: skip
    (figures,) = kept["cases"]["46 KB"]["iuserver"]["rounds"]
    assert figures["requests"] >= 4
    assert "server_us" not in figures
    refused = subprocess.run(
        [*BENCH, "startup", "--url", server.url], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (refused.returncode, "only upload and read" in refused.stderr) == (1, True)


def serving(pid: int) -> list[psutil.Process]:
    """The servers that a run has started."""
    with contextlib.suppress(psutil.Error):
        return [child for child in psutil.Process(pid).children(recursive=True) if "serve" in child.cmdline()]
    return []


def test_a_run_that_is_ended_leaves_nothing_behind(tmp_path: Path) -> None:
    run = [*BENCH, "startup", *TINY, "--rounds", "50", "--data", str(tmp_path)]
    with subprocess.Popen(run, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        started = eventually(lambda: serving(process.pid))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
    assert psutil.wait_procs(started, timeout=10)[1] == []
    assert list(tmp_path.iterdir()) == []


@contextlib.contextmanager
def answering(respond: Callable[[int], tuple[float, bytes]]) -> Iterator[str]:
    """A server that answers its Nth request after a pause, during which it answers nobody: its URL."""
    loop, number = asyncio.new_event_loop(), 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                number += 1
                pause, answer = respond(number)
                threading.Event().wait(pause)  # the whole loop stands
                writer.write(b"HTTP/1.1 " + answer + b"\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    listening = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        eventually(lambda: not asyncio.all_tasks(loop))  # the clients have left
        loop.call_soon_threadsafe(listening.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_a_stall_is_charged_for_everybody_who_came_meanwhile() -> None:
    """One answer of some hundred takes most of a second: a closed loop would see one slow request."""
    with answering(lambda number: (0.7 if number == 10 else 0.0, b"200 OK")) as url:
        figures = sender.open_loop(url, get("/"), rate=200, seconds=1.0, polite=True)
    assert figures["stored_share"] == 1.0
    assert figures["p99_ms"] > 600
    assert figures["p50_ms"] > 100


def test_a_polite_client_reads_while_it_sends_and_a_rude_one_does_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = functools.partial(sender.Client, f"http://127.0.0.1:{listening.getsockname()[1]}")

        async def ask(deaf: bool) -> int:
            asking = asyncio.ensure_future(client(deaf=deaf).ask(b"POST / HTTP/1.1\r\n\r\n" + bytes(16 << 20)))
            connection, _ = await asyncio.to_thread(listening.accept)
            with connection:  # it answers, and does not read
                connection.sendall(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return (await asyncio.wait_for(asking, 0.5)).status

        assert asyncio.run(ask(deaf=False)) == 503
        with pytest.raises(TimeoutError):
            asyncio.run(ask(deaf=True))


def test_a_polite_client_comes_again_when_it_is_told_to_and_a_rude_one_at_once() -> None:
    refuse_at_first = lambda number: (0.0, b"503 No\r\nRetry-After: 1" if number <= 5 else b"200 OK")  # noqa: E731
    with answering(refuse_at_first) as url:
        polite = sender.open_loop(url, get("/"), rate=20, seconds=1.0, polite=True)
    with answering(lambda number: (0.0, b"503 No\r\nRetry-After: 1")) as url:
        rude = sender.open_loop(url, get("/"), rate=20, seconds=1.0, polite=False)
    assert polite["refused"] == 5
    assert polite["stored_share"] == 1.0
    assert polite["p999_ms"] >= 1000
    assert 0 < polite["refused_p99_ms"] < 1000
    assert rude["stored_share"] == rude["goodput"] == 0
    assert rude["refused"] == sender.TRIES * rude["offered"]


def test_in_a_crowd_polite_clients_wait_as_they_are_told_and_rude_ones_do_not() -> None:
    with answering(lambda number: (0.001, b"503 No\r\nRetry-After: 1")) as url:
        polite = sender.crowd(url, get("/"), 3, 0.5, get("/"), polite=True)
        rude = sender.crowd(url, get("/"), 3, 0.5, get("/"), polite=False)
    assert (polite["refused"], polite["honest_refused"], polite["goodput"]) == (3, 1, 0)
    assert rude["refused"] > 10
    assert rude["honest_refused"] == 1
    with answering(lambda number: (0.001, b"200 OK")) as url:
        served = sender.crowd(url, get("/"), 3, 0.5, get("/"), polite=True)
    assert min(served["goodput"], served["honest"], served["p99_ms"]) > 0
    assert served["refused"] == served["failed"] == served["honest_refused"] == 0


def test_what_is_sent_is_http_and_every_key_has_its_turn(server: RunningServer) -> None:
    keys = [server.new_key("pro"), server.new_key("pro")]
    quota = Request("GET", [("/api/quota", b"")], keys=keys)
    assert sender.load(server.url, quota, 2, 0.2)["refused"] == 0
    messages = quota.messages(server.url)
    assert [re.search(rb"Bearer (\S+)", message)[1].decode() for message in messages] == keys  # type: ignore[index]


def test_a_seeded_folder_is_in_step_and_served(tmp_path: Path) -> None:
    picture, data = tmp_path / "picture.jpg", ("--data", str(tmp_path / "data"))
    picture.write_bytes(pictures.jpeg())
    made: Any = told("seed", "--accounts", "2", "--records", "30", "--picture", str(picture), *data)
    assert (len(made["keys"]), len(set(made["slugs"]))) == (2, 30)
    assert command("fsck", *data).stdout == "30 records, 30 blobs, 0 leftovers, 0 problems\n"
    again = command("seed", *data)
    assert (again.returncode, "has a catalog already" in again.stderr) == (2, True)
    assert "seed" not in command("--help").stdout
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IUSERVER_SERVER_DATA", str(tmp_path / "data"))
        lines = command("user", "list").stdout.splitlines()
    assert [json.loads(line)["uploads"] for line in lines] == [30, 0]
