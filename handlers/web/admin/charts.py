"""Lines over time, as the points of inline SVG."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH, HEIGHT = 300, 40
MOST_POINTS = 120
"""More cannot be told apart; a day's samples are put together."""


def line(values: Sequence[float], of: int) -> str:
    """The points of a polyline: `of` samples fill the width, and of fewer the latest stand at the right."""
    grouped, step = _grouped(values, of)
    most = max(grouped, default=0) or 1
    left = WIDTH - (len(grouped) - 1) * step
    return " ".join(
        f"{left + index * step:.1f},{HEIGHT - 2 - value / most * (HEIGHT - 4):.1f}"
        for index, value in enumerate(grouped)
    )


def area(points: str) -> str:
    """The points of the polygon below a line."""
    if not points:
        return ""
    first, last = points.split(" ")[0], points.split(" ")[-1]
    return f"{first.partition(',')[0]},{HEIGHT} {points} {last.partition(',')[0]},{HEIGHT}"


def _grouped(values: Sequence[float], of: int) -> tuple[list[float], float]:
    size = max(1, -(-of // MOST_POINTS))
    groups = [values[max(0, end - size) : end] for end in range(len(values), 0, -size)]
    step = WIDTH / max(1, -(-of // size) - 1)
    return [sum(group) / len(group) for group in reversed(groups)], step
