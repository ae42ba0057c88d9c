"""The public addresses of images, below the origin of the pages and that of the files."""

from __future__ import annotations

from dataclasses import dataclass

from iuserver.records import Image


@dataclass(frozen=True, slots=True)
class Links:
    """`pages` and `files` are what addresses begin with; without a second origin they are the same."""

    pages: str
    files: str

    def page(self, image: Image) -> str:
        """The share page."""
        return f"{self.pages}/i/{image.slug}"

    def file(self, image: Image) -> str:
        """The bytes. What is gated stays with the pages, whose cookies open it."""
        return f"{self.pages if image.gated else self.files}/f/{image.slug}.{image.ext}"
