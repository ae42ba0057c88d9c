"""Walkers as the tests call them: over bytes in memory, within the limits of the default settings."""

from __future__ import annotations

import tempfile
from dataclasses import replace

import pytest

from iuserver.errors import Fault
from iuserver.imaging.decoding import settle
from iuserver.imaging.gain_map_match import write_both
from iuserver.imaging.plan import Limits, Plan
from iuserver.imaging.source import Source
from iuserver.imaging.walkers import Walker

LIMITS = Limits(max_side=16384, max_pixels=50_000_000, max_total_pixels=200_000_000, max_frames=2000, max_scans=100)


def settled_by(walker: Walker, data: bytes, limits: Limits = LIMITS) -> Plan:
    """What a walker plans, and a decoder where the walker is in doubt, or there is a gain map."""
    source = Source(data)
    plan: Plan = walker(source, limits)
    if not (plan.doubt or plan.gain_map):
        return plan
    with tempfile.TemporaryDirectory() as folder:
        if plan.doubt:
            return settle(source, plan, plan.doubt, f"{folder}/scratch")
        assert plan.gain_map
        return write_both(source, plan, plan.gain_map, f"{folder}/target") or replace(plan, gain_map=None)


def clean_by(walker: Walker, data: bytes) -> bytes:
    """The clean file that comes of a picture."""
    plan = settled_by(walker, data)
    return b"".join(piece if isinstance(piece, bytes) else data[piece[0] : piece[1]] for piece in plan.pieces)


def refusal_by(walker: Walker, data: bytes, limits: Limits = LIMITS) -> str:
    """The code of the fault that a file is refused with."""
    with pytest.raises(Fault) as caught:
        settled_by(walker, data, limits)
    return caught.value.code
