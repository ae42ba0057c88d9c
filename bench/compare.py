"""`python -m bench compare BEFORE.json AFTER.json`: what became slower, and what is only noise."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.figures import LESS_IS_BETTER, MORE_IS_BETTER, Figures, Verdict, judge


def main(before: Path, after: Path) -> int:
    """Print a line for each figure that both have. 1 where something became worse."""
    old, new = json.loads(before.read_text()), json.loads(after.read_text())
    if old["scenario"] != new["scenario"]:
        raise SystemExit(f"bench: {old['scenario']} and {new['scenario']} cannot be compared")
    words = Counter[str]()
    for what, verdict in differences(old, new):
        print(f"{verdict.word:>14}  {what}: x {verdict.change:.2f}")
        words[verdict.word] += 1
    print(", ".join(f"{number} {word}" for word, number in words.items()) or "They have nothing in common.")
    return 1 if words["worse"] else 0


def differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, Verdict]]:
    """The subject's figures of each case, and its ratios to others, which the state of the machine moves less."""
    subject, headline = new["subject"], new["headline"]
    for case in (case for case in old["cases"] if case in new["cases"]):
        then, now = _rounds(old, case), _rounds(new, case)
        for name in sorted(MORE_IS_BETTER | LESS_IS_BETTER):
            pairs = [[figures[name] for figures in by.get(subject, []) if name in figures] for by in (then, now)]
            if all(pairs):
                yield f"{case}, {name}", judge(*pairs, more_is_better=name in MORE_IS_BETTER)
        for other in (who for who in then if who in now and who != subject):
            ratios = [_ratios(by.get(subject, []), by[other], headline) for by in (then, now)]
            if all(ratios):
                verdict = judge(*ratios, more_is_better=headline in MORE_IS_BETTER)
                yield f"{case}, {headline} beside {other}", verdict


def _rounds(summary: dict[str, Any], case: str) -> dict[str, list[Figures]]:
    return {who: entry["rounds"] for who, entry in summary["cases"][case].items()}


def _ratios(ours: list[Figures], theirs: list[Figures], figure: str) -> list[float]:
    pairs = zip(ours, theirs, strict=False)
    return [a[figure] / b[figure] for a, b in pairs if figure in a and b.get(figure)]
