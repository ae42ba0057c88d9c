"""The numbers by which a gain map is applied, whatever a file writes them as.

Source: ISO 21496-1 as libultrahdr, libavif and Skia implement it; Adobe's "Gain Map" 1.0, which XMP follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

MOST_STOPS = 32
MOST_GAMMA = 64
MOST_OFFSET = 16


@dataclass(frozen=True, slots=True)
class Channel:
    """One colour's: the gains in stops that black and white of the map mean, the map's gamma, and what is added to
    the base image and taken from the other one."""

    minimum: Fraction
    maximum: Fraction
    gamma: Fraction
    base_offset: Fraction
    other_offset: Fraction

    @property
    def sound(self) -> bool:
        """Whether decoders can apply them."""
        gains = -MOST_STOPS <= self.minimum <= self.maximum <= MOST_STOPS
        offsets = all(-MOST_OFFSET <= offset <= MOST_OFFSET for offset in (self.base_offset, self.other_offset))
        return gains and offsets and Fraction(1, MOST_GAMMA) <= self.gamma <= MOST_GAMMA


@dataclass(frozen=True, slots=True)
class Parameters:
    """A gain map's: one channel for all colours, or three; how many stops above white the base image goes, and the
    other one that the map makes of it; and whether the other one's colours are the base image's."""

    channels: tuple[Channel, ...]
    base_headroom: Fraction
    other_headroom: Fraction
    base_colours: bool = True

    @property
    def sound(self) -> bool:
        """Whether decoders can apply them."""
        headrooms = all(0 <= headroom <= MOST_STOPS for headroom in (self.base_headroom, self.other_headroom))
        differ = self.base_headroom != self.other_headroom
        return headrooms and differ and all(channel.sound for channel in self.channels)
