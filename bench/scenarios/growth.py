"""What a thousand to a million records change: uploads, /f and quota one after the other, and bytes a record.

All records are one account's. Each server begins with the same catalog every time.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from bench import bodies, sender
from bench.figures import Figures, Results
from bench.lab import OURS, WARM_SECONDS, Lab, Target
from bench.request import get

SIZES = {"10^3": 1_000, "10^4": 10_000, "10^5": 100_000, "10^6": 1_000_000}
HEADLINE, SUBJECT = "p50_ms", list(SIZES)[-1]
PICTURE = "46 KB"


@dataclass(frozen=True)
class Seeded:
    """A data folder with records, and a copy of its catalog as it was."""

    data: Path
    keys: list[str]
    slugs: list[str]

    @property
    def pristine(self) -> Path:
        return self.data.with_suffix(".catalog")


def run(lab: Lab) -> Results:
    """Latency of one connection, so that nothing waits for its turn; --beside names some of the sizes."""
    sizes = lab.options.beside.split(",") if lab.options.beside else list(SIZES)
    folders = {size: _seeded(lab, SIZES[size]) for size in sizes}

    def measure(case: str, size: str) -> Figures:
        seeded = folders[size]
        for left in seeded.data.glob("catalog.db*"):
            left.unlink()
        shutil.copyfile(seeded.pristine, seeded.data / "catalog.db")
        with lab.ours(seeded.data) as process:
            target = Target(OURS, process.url, seeded.data, seeded.keys, process.pid)
            request = {
                "upload": lambda: lab.uploads(target, PICTURE),
                "read": lambda: get(*(f"/f/{slug}.jpg" for slug in seeded.slugs)),
                "quota": lambda: get("/api/quota", key=seeded.keys[0]),
            }[case]()
            sender.load(target.url, request, 1, WARM_SECONDS)
            work = lambda: sender.load(target.url, request, 1, lab.options.seconds)  # noqa: E731
            figures = lab.measured(target, work, f"growth-{case}-{size}")
        if figures["refused"] or figures["failed"]:
            raise RuntimeError(f"{case} at {size}: {figures}")
        return {**figures, "bytes_a_record": seeded.pristine.stat().st_size / SIZES[size]}

    return lab.rounds(dict.fromkeys(("upload", "read", "quota"), sizes), measure)


def _seeded(lab: Lab, records: int) -> Seeded:
    data = lab.folder / f"{records}-records"
    picture = lab.folder / "picture.jpg"
    picture.write_bytes(bodies.picture(PICTURE))
    keys, slugs = lab.seed(data, "--records", str(records), "--picture", str(picture))
    seeded = Seeded(data, keys, slugs)
    shutil.copyfile(data / "catalog.db", seeded.pristine)
    return seeded
