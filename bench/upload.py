"""Uploads per second beside the bare handler, in turn, on the same machine: `python -m bench.upload [--data DIR]`.

Everything is on: key, rate limit (set high), quota, walk, strip, record, sync. Needs wrk, and Pillow for the pictures.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
BOUNDARY = "bench-boundary-7MA4YWxkTrZu0gW"
SIZES = {"46 KB": 46_000, "750 KB": 750_000, "2.9 MB": 2_900_000}
SCRIPT = """
local file = io.open(os.getenv("BENCH_BODY"), "rb")
wrk.method, wrk.body = "POST", file:read("*all")
file:close()
wrk.headers["Content-Type"] = "multipart/form-data; boundary=BOUNDARY"
wrk.headers["Authorization"] = os.getenv("BENCH_AUTHORIZATION")
"""


def main() -> None:
    """Run the rounds and print a table, then the same as JSON."""
    options = _options()
    results = {}
    with tempfile.TemporaryDirectory(dir=options.data) as folder:
        for name, size in SIZES.items():
            body = Path(folder) / "body"
            body.write_bytes(_multipart(_picture(size)))
            results[name] = _rounds(Path(folder), body, options)
            print(_row(name, results[name]), flush=True)
    print(json.dumps(results))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="/dev/shm", help="where the servers put their files (default: tmpfs)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=8)
    return parser.parse_args()


def _rounds(folder: Path, body: Path, options: argparse.Namespace) -> list[dict[str, float]]:
    rounds = []
    for _ in range(options.rounds):
        with _bare(folder) as (url, pid):
            before = _cpu_of_all([pid])
            bare, number = _load(url, "", body, options)
            bare_us = round(1e6 * (_cpu_of_all([pid])[0] - before[0]) / number)
        with _iuserver(folder) as (url, key, processes):
            before = _cpu_of_all(processes())
            ours, uploads = _load(f"{url}/api/upload", f"Bearer {key}", body, options)
            after = _cpu_of_all(processes())
        micros = [round(1e6 * (now - then) / uploads) for now, then in zip(after, before, strict=True)]
        rounds.append(
            {
                "bare": bare,
                "bare_us": bare_us,
                "iuserver": ours,
                "ratio": ours / bare,
                "main_us": micros[0],
                "workers_us": micros[1],
            }
        )
    return rounds


def _row(name: str, rounds: list[dict[str, float]]) -> str:
    middle = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
    spread = [r["ratio"] for r in rounds]
    return (
        f"{name:>7}: bare {middle['bare']:7.0f}/s, iuserver {middle['iuserver']:7.0f}/s, "
        f"ratio {middle['ratio']:.2f} ({min(spread):.2f} to {max(spread):.2f}), "
        f"CPU per upload {middle['main_us']:.0f} us server + {middle['workers_us']:.0f} us workers, "
        f"{middle['bare_us']:.0f} us bare"
    )


def _load(url: str, authorization: str, body: Path, options: argparse.Namespace) -> tuple[float, int]:
    """Requests per second and their number, by wrk. Raises RuntimeError where one was not answered 200."""
    script = body.with_suffix(".lua")
    script.write_text(SCRIPT.replace("BOUNDARY", BOUNDARY))
    command = ["wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s", "-s", str(script), url]
    environment = {**os.environ, "BENCH_BODY": str(body), "BENCH_AUTHORIZATION": authorization}
    report = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in report or "Socket errors" in report:
        raise RuntimeError(report)
    rate, number = re.search(r"Requests/sec:\s+([\d.]+)", report), re.search(r"(\d+) requests in", report)
    assert rate
    assert number
    return float(rate[1]), int(number[1])


@contextlib.contextmanager
def _started(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[tuple[str, int]]:
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            assert process.stdout
            yield process.stdout.readline().split()[-1], process.pid
        finally:
            process.terminate()
            process.wait()


@contextlib.contextmanager
def _bare(folder: Path) -> Iterator[tuple[str, int]]:
    files = folder / "bare"
    files.mkdir()
    with _started([sys.executable, "-m", "bench.bare", str(files)], {}, folder) as started:
        yield started
    shutil.rmtree(files)


@contextlib.contextmanager
def _iuserver(folder: Path) -> Iterator[tuple[str, str, object]]:
    data = folder / "data"
    run = [sys.executable, "run.py"]
    made = subprocess.run(
        [*run, "user", "add", "bench@localhost", "--plan", "business", "--data", str(data)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    limits = {"IUSERVER_LIMITS_API_PER_MINUTE": "100000000", "IUSERVER_PLANS_BUSINESS_UPLOADS_PER_MONTH": "100000000"}
    with _started([*run, "serve", "--port", "0", "--data", str(data)], limits, folder) as (url, pid):
        yield url, json.loads(made.stdout)["api_key"], lambda: [pid, *_children(pid)]
    shutil.rmtree(data)


def _children(pid: int) -> list[int]:
    return sorted(int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def _cpu_of_all(pids: list[int]) -> tuple[float, float]:
    """Seconds of processor time used so far: by the server, and by its workers, those that have ended included."""
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    ticks = os.sysconf("SC_CLK_TCK")
    own = [(int(fields[11]) + int(fields[12])) / ticks for fields in stats]
    ended = (int(stats[0][13]) + int(stats[0][14])) / ticks
    return own[0], sum(own[1:]) + ended


def _picture(size: int) -> bytes:
    """A JPEG of about `size` bytes as a phone makes it: noise to fill it, EXIF with a turn and a position."""
    side = 64
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x8825] = {1: "N", 2: (48.0, 8.0, 0.0)}
    while True:
        noise = Image.frombytes("RGB", (side, side), random.Random(side).randbytes(3 * side * side))
        buffer = io.BytesIO()
        noise.resize((2 * side, 2 * side)).save(buffer, "JPEG", quality=90, exif=exif)
        if buffer.tell() >= size:
            return buffer.getvalue()
        side = int(side * 1.05) + 1


def _multipart(picture: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"\r\n'
    return f"{head}Content-Type: image/jpeg\r\n\r\n".encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()


if __name__ == "__main__":
    main()
