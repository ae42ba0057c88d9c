"""`python -m bench SCENARIO`, `… compare A.json B.json`, `… profile SCENARIO`, `… peers`: see bench/README.md."""

from __future__ import annotations

import argparse
import resource
import signal
import sys
from pathlib import Path

from bench import compare, peers, report, scenarios, wrk
from bench.lab import lab
from bench.processes import ROOT

OUT = ROOT / "bench" / "out"


def main() -> int:
    """Run a command; everything that it started has ended when this returns."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    options = _parser().parse_args()
    status: int = options.run(options)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measurements of iuserver, over HTTP.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in scenarios.NAMES:
        one = commands.add_parser(name, help=_summary(name))
        _add_options(one)
        one.set_defaults(run=_measure, scenario=name, profile=None)
    profiled = commands.add_parser("profile", help="flame graphs of server and workers under a scenario's load")
    profiled.add_argument("scenario", choices=scenarios.NAMES)
    _add_options(profiled)
    profiled.set_defaults(run=_measure, profile=OUT / "profile", rounds=1, seconds=10.0, beside="")
    compared = commands.add_parser("compare", help="what became slower between two runs")
    compared.add_argument("before", type=Path, metavar="A.json")
    compared.add_argument("after", type=Path, metavar="B.json")
    compared.set_defaults(run=lambda options: compare.main(options.before, options.after))
    installed = commands.add_parser("peers", help="install the servers to measure beside, below bench/out")
    installed.set_defaults(run=lambda options: peers.install())
    return parser


def _add_options(parser: argparse.ArgumentParser) -> None:
    venv = ROOT / ".venv" / "bin" / "python"
    add = parser.add_argument
    add("--url", help="a server that runs already (its key in IMAGEUPLOAD_API_KEY); default: one is started")
    add("--data", default="tmpfs", metavar="tmpfs|disk|DIR", help="where the servers keep their files")
    add("--rounds", type=int, default=5)
    add("--seconds", type=float, default=2.0, help="of load, each time")
    add("--connections", type=int, default=8)
    add("--only", action="append", metavar="CASE", help="this case alone; may be repeated")
    add("--beside", metavar="A,B", help="whom to measure beside; default: all whose software is there")
    add("--sender", choices=("wrk", "own"), default="wrk" if wrk.is_there() else "own")
    add("--python", default=str(venv if venv.exists() else sys.executable), help="the server's Python")
    add("--out", type=Path, metavar="FILE", help="where the figures go, less .json; default: bench/out/SCENARIO")


def _summary(name: str) -> str:
    return (scenarios.load(name).__doc__ or "").splitlines()[0]


def _measure(options: argparse.Namespace) -> int:
    scenario = scenarios.load(options.scenario)
    if options.url and options.scenario not in scenarios.BY_URL:
        raise SystemExit(f"bench: by --url only {' and '.join(scenarios.BY_URL)} can be measured")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if options.profile:
        options.profile.mkdir(parents=True, exist_ok=True)
    with lab(options) as place:
        results = scenario.run(place)
    shown = {name: value for name, value in vars(options).items() if name not in ("run", "profile", "out", "python")}
    summary = report.document(options.scenario, scenario.HEADLINE, scenario.SUBJECT, shown, results)
    file: Path = options.out or (options.profile or OUT) / options.scenario
    report.save(summary, file)
    print(report.table(summary))
    print(f"\n{file}.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
