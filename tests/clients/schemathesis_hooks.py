"""What schemathesis is told beside the description: real pictures, keys of every plan, pictures that are there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies as st

FOLDER = Path(os.environ["DESCRIBED_FOLDER"])
KEYS: list[str] = json.loads((FOLDER / "keys.json").read_text())
KNOWN: dict[str, list[str]] = json.loads((FOLDER / "known.json").read_text())
"""Values of parts of paths that name something."""
COOKIE: str = (FOLDER / "cookie").read_text()
BY_COOKIE = ("/api/sessions", "/api/key")
"""The paths that no key opens begin so."""
PICTURES = [path.read_bytes() for path in sorted((FOLDER / "pictures").iterdir())]

pictures = st.sampled_from(PICTURES)
cut_short = st.tuples(pictures, st.integers(0, 400)).map(lambda drawn: drawn[0][: drawn[1]])
changed = st.tuples(pictures, st.integers(0, 400), st.integers(0, 255)).map(
    lambda drawn: drawn[0][: drawn[1]] + bytes([drawn[2]]) + drawn[0][drawn[1] + 1 :]
)
schemathesis.openapi.format("binary", pictures | cut_short | changed | st.binary(max_size=64))


@schemathesis.hook
def flatmap_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> Any:
    """Ask for what is there as often as for anything else."""
    drawn = st.just(path_parameters)
    for name in KNOWN.keys() & (path_parameters or {}).keys():
        known = st.sampled_from(KNOWN[name]).map(lambda value, name=name: {**(path_parameters or {}), name: value})
        drawn = drawn | known
    return drawn


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Leave out empty fields: they count as absent, whatever their schemas say."""
    return "" not in (case.query or {}).values()


@schemathesis.auth()
class Key:
    """A key of one of the plans, by turns; the cookie of a signed-in browser where no key will do."""

    turn = 0

    def get(self, case: Any, context: Any) -> str:
        Key.turn += 1
        return KEYS[Key.turn % len(KEYS)]

    def set(self, case: Any, data: str, context: Any) -> None:
        sent = {"Authorization": f"Bearer {data}"}
        if case.operation.path.startswith(BY_COOKIE):
            sent = {"Cookie": f"session={COOKIE}", "Sec-Fetch-Site": "same-origin"}
        case.headers = {**(case.headers or {}), **sent}
