"""What the suites of the ports share."""

from __future__ import annotations

from pathlib import Path

import pytest

LARGE = 20 * 1024 * 1024 + 1


@pytest.fixture
def large(tmp_path: Path) -> str:
    path = tmp_path / "large"
    with path.open("wb") as file:
        for number in range(LARGE // 1024):
            file.write(number.to_bytes(4, "big") * 256)
        file.write(b"!")
    return str(path)
