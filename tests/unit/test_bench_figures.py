"""What the benchmarks make of rounds: percentiles, ratios, and a judgement that owns up to noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import compare, report
from bench.figures import Spread, Verdict, judge, latencies, percentile, ratio


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, 0.0),
        ([7.0], 0.999, 7.0),
        ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0),
        ([1.0, 2.0, 3.0, 4.0], 0.51, 3.0),
        ([float(n) for n in range(1, 1001)], 0.99, 990.0),
        ([float(n) for n in range(1, 1001)], 0.999, 999.0),
    ],
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(
    values: list[float], share: float, expected: float
) -> None:
    assert percentile(values, share) == expected


def test_latencies_are_told_in_milliseconds_whatever_their_order() -> None:
    assert latencies([0.003, 0.001, 0.002]) == {"p50_ms": 2.0, "p99_ms": 3.0, "p999_ms": 3.0}


def test_a_ratio_pairs_what_was_measured_in_the_same_round() -> None:
    """Both halve in the second round, when the machine was busy: the ratio does not move."""
    ours, theirs = [{"per_second": 80.0}, {"per_second": 40.0}], [{"per_second": 100.0}, {"per_second": 50.0}]
    assert ratio(ours, theirs, "per_second") == Spread(0.8, 0.8, 0.8)
    assert ratio(ours, [{"per_second": 0.0}, {}], "per_second") is None


@pytest.mark.parametrize(
    ("before", "after", "more_is_better", "expected"),
    [
        ([100, 101, 102], [80, 81, 82], True, Verdict("worse", 81 / 101)),
        ([100, 101, 102], [80, 81, 82], False, Verdict("better", 81 / 101)),
        ([100, 101, 102], [120, 121, 122], True, Verdict("better", 121 / 101)),
        ([100, 101, 140], [130, 131, 132], True, Verdict("within noise", 131 / 101)),
        ([100, 101, 102], [102, 103, 104], True, Verdict("within noise", 103 / 101)),
        ([100, 101], [50, 51], True, Verdict("too few rounds", 50.5 / 100.5)),
        ([0, 0, 0], [1, 1, 1], False, Verdict("worse", float("inf"))),
    ],
)
def test_only_rounds_that_do_not_overlap_are_a_difference(
    before: list[float], after: list[float], more_is_better: bool, expected: Verdict
) -> None:
    assert judge(before, after, more_is_better=more_is_better) == expected


def run_of(ours: list[float], bare: list[float]) -> dict[str, Any]:
    """A run as it is kept."""
    rounds = [[{"per_second": value, "p50_ms": 1000 / value} for value in values] for values in (ours, bare)]
    return report.document(
        "upload", "per_second", "iuserver", {}, {"46 KB": {"iuserver": rounds[0], "bare": rounds[1]}}
    )


def test_two_runs_on_a_machine_of_changing_speed_differ_only_beside_the_yardstick(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything has become slower, and so did the yardstick: beside it nothing has changed."""
    (tmp_path / "a.json").write_text(json.dumps(run_of([500, 510, 505], [1000, 1010, 1020])))
    (tmp_path / "b.json").write_text(json.dumps(run_of([250, 255, 252], [500, 505, 510])))
    assert compare.main(tmp_path / "a.json", tmp_path / "b.json") == 1
    told = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert ["worse", "46 KB, per_second: x 0.50"] in told
    assert ["worse", "46 KB, p50_ms: x 2.00"] in told
    assert ["within", "noise  46 KB, per_second beside bare: x 1.00"] in told
    assert compare.main(tmp_path / "a.json", tmp_path / "a.json") == 0
    assert capsys.readouterr().out.endswith("\n3 within noise\n")
