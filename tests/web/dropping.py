"""Files that arrive in a page as people bring them: dropped and pasted."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image

BRING = """
([kind, files]) => {
  const transfer = new DataTransfer();
  for (const [name, type, data] of files) {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type }));
  }
  const event =
    kind === "drop"
      ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true })
      : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}
"""


def picture(number: int, side: int = 24) -> bytes:
    """A small PNG, another for each number."""
    made = io.BytesIO()
    colour = (number * 7 % 256, number * 13 % 256, number // 256)
    image = Image.new("RGB", (side, side), colour)
    image.putpixel((0, 0), (number % 256, number // 256, 1))
    image.save(made, "PNG")
    return made.getvalue()


def drop(page: Any, *files: tuple[str, bytes]) -> None:
    """Drop files on the page."""
    _bring(page, "drop", files)


def paste(page: Any, *files: tuple[str, bytes]) -> None:
    """Paste files, or a picture, which browsers call image.png."""
    _bring(page, "paste", files)


def _bring(page: Any, kind: str, files: tuple[tuple[str, bytes], ...]) -> None:
    coded = [[name, "image/png", base64.b64encode(data).decode()] for name, data in files]
    page.evaluate(BRING, [kind, coded])
