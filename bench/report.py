"""What was measured: as a table for people, as JSON for machines, as a picture."""

from __future__ import annotations

import datetime
import importlib.util
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.figures import Figures, Results, ratio, short, spreads
from bench.lab import does
from bench.processes import ROOT

NOT_SHOWN = {"requests", "failed"}


def document(name: str, headline: str, subject: str, options: dict[str, Any], results: Results) -> dict[str, Any]:
    """All of it, as it is kept."""
    contenders = {contender for case in results.values() for contender in case}
    return {
        "scenario": name,
        "headline": headline,
        "subject": subject,
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {"processors": os.cpu_count(), "python": platform.python_version(), "kernel": platform.release()},
        "options": options,
        "does": {contender: words for contender, words in does().items() if contender in contenders},
        "cases": {case: {who: _summary(rounds) for who, rounds in by.items()} for case, by in results.items()},
        "ratios": {case: _ratios(by, headline, subject) for case, by in results.items()},
    }


def _summary(rounds: list[Figures]) -> dict[str, Any]:
    return {"rounds": rounds, "figures": {name: spread._asdict() for name, spread in spreads(rounds).items()}}


def _ratios(by: dict[str, list[Figures]], headline: str, subject: str) -> dict[str, dict[str, float]]:
    """The subject's headline to everybody else's."""
    if subject not in by:
        return {}
    found = {who: ratio(by[subject], rounds, headline) for who, rounds in by.items() if who != subject}
    return {who: spread._asdict() for who, spread in found.items() if spread}


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10).stdout.strip()


def table(summary: dict[str, Any]) -> str:
    """One line for each contender of each case: medians, and the headline and its ratio with their spread."""
    headline, subject = summary["headline"], summary["subject"]
    figures = _columns(summary)
    rows = [["", headline, f"{subject} to it", *(name for name in figures if name != headline)]]
    for case, contenders in summary["cases"].items():
        for who, entry in contenders.items():
            medians = {name: short(spread["median"]) for name, spread in entry["figures"].items()}
            rows.append(
                [
                    f"{case}, {who}",
                    _spread(entry["figures"].get(headline)),
                    _spread(summary["ratios"][case].get(who)),
                    *(medians.get(name, "") for name in figures if name != headline),
                ]
            )
    widths = [max(len(row[number]) for row in rows) for number in range(len(rows[0]))]
    lines = [
        "  ".join(cell.rjust(width) if number else cell.ljust(width) for number, (cell, width) in enumerate(cells))
        for cells in ([*zip(row, widths, strict=True)] for row in rows)
    ]
    return "\n".join([*lines, "", *(f"{who}: {words}" for who, words in summary["does"].items())])


def _columns(summary: dict[str, Any]) -> list[str]:
    names = [name for case in summary["cases"].values() for entry in case.values() for name in entry["figures"]]
    return [name for name in dict.fromkeys(names) if name not in NOT_SHOWN]


def _spread(spread: dict[str, float] | None) -> str:
    return f"{short(spread['median'])} ({short(spread['low'])} to {short(spread['high'])})" if spread else ""


def save(summary: dict[str, Any], file: Path) -> None:
    """FILE.json and, where matplotlib is there, FILE.svg."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_suffix(".json").write_text(json.dumps(summary, indent=1) + "\n")
    if importlib.util.find_spec("matplotlib"):
        _draw(summary, file.with_suffix(".svg"))
    else:
        print("bench: no picture without matplotlib (`make bench` has it)", file=sys.stderr)


def _draw(summary: dict[str, Any], file: Path) -> None:
    """Bars for the headline of each contender, with the spread of its rounds; each case has its own axis."""
    from matplotlib.figure import Figure

    cases, headline = summary["cases"], summary["headline"]
    size = sum(1 + len(contenders) for contenders in cases.values())
    figure = Figure(figsize=(9, 1.2 + 0.32 * size), layout="constrained")
    heights = [1 + len(contenders) for contenders in cases.values()]
    for axes, (case, contenders) in zip(
        figure.subplots(len(cases), 1, squeeze=False, height_ratios=heights)[:, 0], cases.items(), strict=True
    ):
        spreads = [entry["figures"].get(headline, {"median": 0, "low": 0, "high": 0}) for entry in contenders.values()]
        medians = [spread["median"] for spread in spreads]
        errors = [[s["median"] - s["low"] for s in spreads], [s["high"] - s["median"] for s in spreads]]
        colors = ["#c2410c" if who == summary["subject"] else "#94a3b8" for who in contenders]
        bars = axes.barh(list(contenders), medians, xerr=errors, color=colors, ecolor="#334155", capsize=2)
        axes.bar_label(bars, [short(value) for value in medians], padding=4)
        axes.set_title(case, loc="left", fontsize=10)
        axes.invert_yaxis()
        axes.margins(x=0.12)
    figure.suptitle(
        f"{summary['scenario']}: {headline}, median and spread of rounds ({summary['commit']})", fontsize=11
    )
    figure.savefig(file)
