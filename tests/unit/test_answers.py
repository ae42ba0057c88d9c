"""What workers answer: only what was asked for, and only what can be true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from iuserver.errors import Fault
from iuserver.imaging.answers import THUMBNAIL_BYTES, UnexpectedAnswer, result_of
from iuserver.imaging.plan import Limits
from iuserver.imaging.wire import Kind

LIMITS = Limits(max_side=100, max_pixels=10_000, max_total_pixels=10_000, max_frames=10, max_scans=10)


@pytest.fixture
def target(tmp_path: Path) -> str:
    path = tmp_path / "out"
    path.write_bytes(b"x" * 50)
    return str(path)


def test_each_kind_of_job_has_its_answer(target: str) -> None:
    assert result_of({"thumbnail": 50}, "thumbnail", target, LIMITS) == 50
    assert result_of({"likeness": "00ff" * 4}, "likeness", "", LIMITS) == bytes.fromhex("00ff" * 4)
    kinds: tuple[Kind, ...] = ("clean", "thumbnail", "likeness")
    for kind in kinds:
        assert isinstance(result_of({"fault": ["broken_image", "It is broken"]}, kind, target, LIMITS), Fault)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("clean", {"thumbnail": 50}),
        ("clean", {"likeness": None}),
        ("thumbnail", {"likeness": "00" * 8}),
        ("thumbnail", {"facts": {}}),
        ("thumbnail", {"thumbnail": 49}),
        ("thumbnail", {"thumbnail": 0}),
        ("thumbnail", {"thumbnail": True}),
        ("thumbnail", {"thumbnail": "50"}),
        ("thumbnail", {"thumbnail": THUMBNAIL_BYTES + 1}),
        ("thumbnail", {"thumbnail": 50, "likeness": None}),
        ("likeness", {"likeness": "00" * 7}),
        ("likeness", {"likeness": "00" * 9}),
        ("likeness", {"likeness": "0G" * 8}),
        ("likeness", {"likeness": "00" * 8 + "\n"}),
        ("likeness", {"likeness": 5}),
        ("likeness", {"likeness": None}),
        ("likeness", {"thumbnail": 50}),
    ],
)
def test_any_other_answer_is_none(target: str, kind: Kind, answer: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedAnswer):
        result_of(answer, kind, target, LIMITS)
