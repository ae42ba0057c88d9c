"""The lab: contenders started on fresh folders, and loads measured from outside, in rounds that alternate."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from bench import bodies, profile, sender, wrk
from bench.figures import Figures, Results
from bench.peers import PEERS
from bench.processes import PERISH, ROOT, Process, cpu_seconds, family, proportional_bytes, started
from bench.request import Request

OURS = "iuserver"
MANY = "100000000"
HIGH_LIMITS = {"LIMITS_API_PER_MINUTE": MANY, "LIMITS_MCP_PER_MINUTE": MANY, "PLANS_BUSINESS_UPLOADS_PER_MONTH": MANY}
"""So that rate and month are counted, and nobody is refused."""
NO_MORE: Mapping[str, str] = {}
VARIANTS: dict[str, tuple[str, Mapping[str, str]]] = {
    OURS: ("everything: header checked, strip yes, rotation kept as a tag, record yes, sync yes", {}),
    "no-sync": ("iuserver with blobs.sync = false: the picture is not synced, the record is", {"BLOBS_SYNC": "false"}),
    "mcp": ("iuserver by its tool upload_image: the picture in base64, in JSON", {}),
    "no-rate": ("iuserver with limits.api_per_minute = 0: calls are not counted", {"LIMITS_API_PER_MINUTE": "0"}),
}
BARE = "a Tornado handler that writes the body to a new file, and nothing else"
WARM_SECONDS = 0.3
COMMAND_SECONDS = 600


@dataclass(frozen=True)
class Target:
    """A server under load. Without a pid (it was named by --url) its processor time and memory stay unknown."""

    name: str
    url: str
    folder: Path
    keys: list[str]
    pid: int | None = None
    seconds: float = 0.0

    def of(self, keys: list[str]) -> Target:
        """The same server, as some of the accounts know it."""
        return replace(self, keys=keys)


class Lab:
    """What the scenarios work with; `options` are those of the command line."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self._data: dict[int, tuple[Path, list[str]]] = {}

    def beside(self, defaults: Sequence[str]) -> list[str]:
        """Us, and those to measure beside us: as asked for, or of the defaults those whose software is there."""
        if self.options.beside is not None:
            return [OURS, *(name for name in self.options.beside.split(",") if name)]
        if self.options.url:
            return [OURS]
        return [OURS, *(name for name in defaults if name not in PEERS or PEERS[name].is_there)]

    @contextlib.contextmanager
    def contender(self, name: str, accounts: int = 1, settings: Mapping[str, str] = NO_MORE) -> Iterator[Target]:
        """A server on a fresh folder, which goes afterwards. `settings` are further ones of ours: {"LIMITS_…": "1"}."""
        if name == OURS and self.options.url:
            yield Target(name, self.options.url, self.folder, [os.environ.get("IMAGEUPLOAD_API_KEY", "")])
            return
        folder = Path(tempfile.mkdtemp(dir=self.folder, prefix=name))
        try:
            if name in VARIANTS:
                data, keys = self._prepared(accounts)
                shutil.copytree(data, folder / "data")
                with self.ours(folder / "data", {**VARIANTS[name][1], **settings}) as process:
                    yield Target(name, process.url, folder, keys, process.pid, process.seconds)
            else:
                with self._other(name, folder) as process:
                    yield Target(name, process.url, folder, [], process.pid, process.seconds)
        finally:
            shutil.rmtree(folder)

    def ours(self, data: Path, settings: Mapping[str, str] = NO_MORE) -> contextlib.AbstractContextManager[Process]:
        """Our server on a data folder, with everything on."""
        environment = {f"IUSERVER_{name}": value for name, value in {**HIGH_LIMITS, **settings}.items()}
        command = [self.options.python, "run.py", "serve", "--port", "0", "--data", str(data)]
        return started(command, data.parent / "log", environment)

    def seed(self, data: Path, *arguments: str) -> tuple[list[str], list[str]]:
        """Fill a new data folder; the accounts' keys, and some slugs."""
        command = [*PERISH, self.options.python, "run.py", "seed", "--data", str(data), *arguments]
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=COMMAND_SECONDS)
        seeded = json.loads(done.stdout)
        return seeded["keys"], seeded["slugs"]

    def _prepared(self, accounts: int) -> tuple[Path, list[str]]:
        if accounts not in self._data:
            data = self.folder / f"accounts{accounts}"
            self._data[accounts] = (data, self.seed(data, "--accounts", str(accounts))[0])
        return self._data[accounts]

    def _other(self, name: str, folder: Path) -> contextlib.AbstractContextManager[Process]:
        if name == "bare":
            return started([self.options.python, "-m", "bench.bare", str(folder)], folder.with_suffix(".log"))
        if name not in PEERS:
            raise SystemExit(f"bench: there is no {name!r}; there are {', '.join(does())}")
        return PEERS[name].start(folder)

    def uploads(self, target: Target, case: str) -> Request:
        """Uploads of a case's pictures, as this contender takes them, by all accounts in turn."""
        names = bodies.names_of(case)
        if target.name == "mcp":
            variants = [("/mcp", bodies.call(name)) for name in names]
            return Request("POST", variants, {"Content-Type": "application/json"}, target.keys)
        peer = PEERS.get(target.name)
        if target.name in VARIANTS or (peer and peer.form):
            path = peer.path if peer else "/api/upload"
            variants = [(path, bodies.form(name)) for name in names]
            return Request("POST", variants, {"Content-Type": bodies.FORM_TYPE}, target.keys)
        method, path = (peer.method, peer.path) if peer else ("POST", "/")
        return Request(method, [(path, bodies.picture(name)) for name in names], {"Content-Type": "image/jpeg"})

    def load(self, target: Target, request: Request, *, label: str = "") -> Figures:
        """Warm up, then send for some seconds. Raises RuntimeError where a request was refused or failed.

        Who is so slow that wrk would see few answers, or none, has our own sender, which waits for the last of them.
        """
        connections = self.options.connections
        first = sender.load(target.url, request, connections, min(WARM_SECONDS, self.options.seconds))
        slow = first["requests"] < 2 * connections
        send = sender.load if slow or self.options.sender == "own" else wrk.load
        work = lambda: send(target.url, request, connections, self.options.seconds)  # noqa: E731
        figures = self.measured(target, work, label)
        if figures["refused"] or figures["failed"] or not figures["requests"]:
            raise RuntimeError(f"{target.name}: not every request was answered well: {figures}")
        return figures

    def measured(self, target: Target, work: Callable[[], Figures], label: str = "") -> Figures:
        """Run a load, and add what it cost the server: processor time a request, and memory at its end."""
        if target.pid is None:
            return work()
        before = cpu_seconds(target.pid)
        with profile.recording(self.options.profile if target.name == OURS else None, target.pid, label):
            figures = work()
        own, others = (now - then for now, then in zip(cpu_seconds(target.pid), before, strict=True))
        requests = max(1.0, figures["requests"])
        cost = {"server_us": 1e6 * own / requests, "workers_us": 1e6 * others / requests}
        return {**figures, **cost, "pss_mb": proportional_bytes(family(target.pid)) / 2**20}

    def rounds(self, plan: Mapping[str, Sequence[str]], measure: Callable[[str, str], Figures]) -> Results:
        """Measure each case with all its contenders one after the other, beginning with another one each round.

        A contender that is not ours and cannot be measured is left out, and that is told.
        """
        for unknown in set(self.options.only or []) - set(plan):
            raise SystemExit(f"bench: there is no case {unknown!r}; there are {', '.join(plan)}")
        cases = self.options.only or list(plan)
        results: Results = {case: {name: [] for name in plan[case]} for case in cases}
        runs = [(case, name) for case in cases for name in self._interleaved(plan[case])]
        with tqdm(runs, unit="run", dynamic_ncols=True, disable=None) as progress:
            for case, name in progress:
                if name not in results[case]:
                    continue
                progress.set_description(f"{case}, {name}")
                try:
                    results[case][name].append(measure(case, name))
                except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                    if name not in PEERS:
                        raise
                    del results[case][name]
                    progress.write(f"{case}, {name}: left out: {error}", file=sys.stderr)
        return results

    def _interleaved(self, contenders: Sequence[str]) -> Iterator[str]:
        for number in range(self.options.rounds):
            first = number % len(contenders)
            yield from (*contenders[first:], *contenders[:first])


def does() -> dict[str, str]:
    """What every contender does with an upload."""
    ours = {name: words for name, (words, _) in VARIANTS.items()}
    return {**ours, "bare": BARE, **{name: peer.does for name, peer in PEERS.items()}}


@contextlib.contextmanager
def lab(options: argparse.Namespace) -> Iterator[Lab]:
    """A lab on a temporary folder: tmpfs, the disk that this project is on, or a folder of one's choice."""
    out = ROOT / "bench" / "out"
    out.mkdir(exist_ok=True)
    parent = {"tmpfs": Path("/dev/shm"), "disk": out}.get(options.data) or Path(options.data)
    with tempfile.TemporaryDirectory(dir=parent, prefix="iuserver-bench-") as folder:
        yield Lab(options, Path(folder))
