"""What runs on which backends: the list that says so is in step with the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backends import EMBEDDED

SURFACES = Path(__file__).parents[1] / "surfaces"


@pytest.mark.parametrize("name", sorted(EMBEDDED))
def test_what_is_run_on_the_embedded_defaults_alone_is_there(name: str) -> None:
    file, _, test = name.partition("::")
    assert f"def {test or 'test_'}" in (SURFACES / file).read_text()
    assert not test or file not in EMBEDDED, "the whole file is named"
