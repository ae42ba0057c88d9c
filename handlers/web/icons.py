"""The line drawings of the pages, as inline SVG."""

from __future__ import annotations

_SHAPES = {
    "upload": "<path d='M4 15v3a2.5 2.5 0 0 0 2.5 2.5h11A2.5 2.5 0 0 0 20 18v-3M12 15.5v-12M7.5 8 12 3.5 16.5 8'/>",
    "image": (
        "<rect x='3.5' y='4.5' width='17' height='15' rx='2.5'/><circle cx='9' cy='10' r='1.6'/>"
        "<path d='M4 17l5-5 4 4 3-3 4 4'/>"
    ),
    "key": "<circle cx='8' cy='15' r='4'/><path d='M11 12l8.5-8.5M16 7l3 3'/>",
    "plug": "<path d='M9 3v5M15 3v5M6 8h12v3a6 6 0 0 1-12 0zM12 17v4'/>",
    "book": "<path d='M5 4.5h10a3 3 0 0 1 3 3v12H8a3 3 0 0 1-3-3z'/><path d='M9 9h5'/>",
    "shield": "<path d='M12 3l7.5 3v5.5c0 5-3.5 8-7.5 9.5-4-1.5-7.5-4.5-7.5-9.5V6z'/>",
    "folder": (
        "<path d='M3.5 6.5A1.5 1.5 0 0 1 5 5h4l2 2.5h8A1.5 1.5 0 0 1 20.5 9v8.5A1.5 1.5 0 0 1 19 19H5"
        "a1.5 1.5 0 0 1-1.5-1.5z'/>"
    ),
    "nothing": "<path d='M3.5 17.5v-11a2 2 0 0 1 2-2h11M20.5 7.5v10a2 2 0 0 1-2 2h-10M3.5 17.5l4.5-5 3 3M3 3l18 18'/>",
}
_ATTRIBUTES = (
    "viewBox='0 0 24 24' fill='none' stroke='currentColor' stroke-width='1.7' stroke-linecap='round' "
    "stroke-linejoin='round' aria-hidden='true'"
)
ICONS = {name: f"<svg {_ATTRIBUTES}>{shapes}</svg>" for name, shapes in _SHAPES.items()}
"""By name; they need no escaping."""
