"""Memoization of functions of client-supplied text: short strings only, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

LONGEST = 512
"""Characters of a text that is remembered; real ones are shorter."""

T = TypeVar("T")


class _Results(dict[str, T]):
    """The results of a function by its argument: a look at a dict is several times as fast as a call."""

    def __init__(self, function: Callable[[str], T], most: int) -> None:
        self._function = function
        self._most = most

    def __missing__(self, text: str) -> T:
        result = self._function(text)
        if len(text) <= LONGEST:
            if len(self) >= self._most:
                self.clear()
            self[text] = result
        return result


def remembered(most: int) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
    """A decorator: at most so many results of a function of a text are remembered, those of long texts never."""
    return lambda function: _Results(function, most).__getitem__
