"""GET /f of a small and a large picture, beside a bare Tornado handler that returns as many bytes from memory."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

from bench import bodies, sender
from bench.figures import Figures, Results
from bench.lab import OURS, VARIANTS, Lab, Target
from bench.request import get

HEADLINE, SUBJECT = "per_second", OURS
BESIDE = ("bare", "nginx")
CASES = ("46 KB", "2.9 MB")


def run(lab: Lab) -> Results:
    """One picture, again and again."""

    def measure(case: str, name: str) -> Figures:
        with lab.contender(name) as target:
            path = _placed(lab, target, case)
            answer = sender.once(target.url, get(path))
            if answer.status != 200 or len(answer.body) < 0.9 * len(bodies.picture(case)):
                raise RuntimeError(f"{name}: {path} gave {answer.status} and {len(answer.body)} bytes")
            return lab.load(target, get(path), label=f"read-{case}")

    return lab.rounds(dict.fromkeys(CASES, lab.beside(BESIDE)), measure)


def _placed(lab: Lab, target: Target, case: str) -> str:
    """Put a picture where it can be got: the path."""
    if target.name in VARIANTS:
        return uploaded(lab, target, case)
    folder: Path = target.folder / "files" if target.name == "nginx" else target.folder
    (folder / "picture.jpg").write_bytes(bodies.picture(case))
    return "/picture.jpg"


def uploaded(lab: Lab, target: Target, case: str) -> str:
    """Upload a picture and return the path of its bytes."""
    answer = sender.once(target.url, lab.uploads(target, case))
    if answer.status != 200:
        raise RuntimeError(f"{target.name}: an upload was answered {answer.status}")
    url: str = json.loads(answer.body)["direct_url"]
    return urlsplit(url).path
