"""What a picture looks like in a browser: its size in the layout, its pixels, its frames and their times."""

from __future__ import annotations

import base64
from typing import Any

ORIGIN = "https://pictures.test/"

# Both pictures, painted as <img> paints them, and decoded frame by frame. A frame that cannot be decoded ends the list.
LOOK = """
async ([pictures, mime]) => {
  const paint = (source, width, height) => {
    const context = new OffscreenCanvas(width, height).getContext('2d', {willReadFrequently: true});
    context.drawImage(source, 0, 0);
    return context.getImageData(0, 0, width, height).data;
  };
  const digest = async pixels => Array.from(new Uint8Array(await crypto.subtle.digest('SHA-1', pixels))).join();
  const seen = [];
  for (const text of pictures) {
    const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
    const image = new Image();
    image.src = URL.createObjectURL(new Blob([bytes], {type: mime}));
    const shown = await new Promise(done => { image.onload = () => done(true); image.onerror = () => done(false); });
    const look = {shown, size: [image.naturalWidth, image.naturalHeight], frames: [], loops: '', whole: true};
    if (shown && image.naturalWidth) {
      await image.decode();
      look.pixels = paint(image, ...look.size);
      look.visible = look.pixels.some(value => value);
    }
    URL.revokeObjectURL(image.src);
    try {
      const decoder = new ImageDecoder({data: bytes, type: mime});
      await decoder.tracks.ready;
      await decoder.completed;
      const track = decoder.tracks.selectedTrack;
      look.loops = track.frameCount > 1 ? String(track.repetitionCount) : '';
      for (let frameIndex = 0; frameIndex < track.frameCount; frameIndex++) {
        const {image: frame} = await decoder.decode({frameIndex});
        const pixels = paint(frame, frame.displayWidth, frame.displayHeight);
        look.frames.push([frame.displayWidth, frame.displayHeight, frame.duration, await digest(pixels)].join());
        frame.close();
      }
    } catch (error) {
      look.whole = false;
    }
    seen.push(look);
  }
  const [before, after] = seen.map(look => look.pixels || []);
  let difference = before.length == after.length ? 0 : 255;
  for (let at = 0; at < before.length && difference < 255; at++) {
    difference = Math.max(difference, Math.abs(before[at] - after[at]));
  }
  return [...seen.map(({pixels, ...look}) => look), difference];
}
"""


def open_page(page: Any) -> None:
    """Give a page of Playwright's an origin that may decode pictures."""
    blank = "<!doctype html><title>pictures</title>"
    page.route(ORIGIN, lambda route: route.fulfill(body=blank, content_type="text/html"))
    page.goto(ORIGIN)


def look_at(page: Any, before: bytes, after: bytes, mime: str) -> tuple[dict[str, Any], dict[str, Any], int]:
    """How two pictures look, and by how much a pixel differs at most: 255 where they have different sizes."""
    texts = [base64.b64encode(data).decode() for data in (before, after)]
    first, second, difference = page.evaluate(LOOK, [texts, mime])
    return first, second, difference
