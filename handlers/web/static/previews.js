// Small pictures of the files themselves, one after the other: whatever their number, one is decoded at a time.

const LARGEST = 40 * 1024 * 1024;
const wanted = new Map();
let drawing = false;

// Draws a file on a canvas, unless the canvas has left the page by its turn.
export function preview(file, canvas) {
  if (file.size > LARGEST) return;
  wanted.set(canvas, file);
  if (!drawing) drawAll();
}

async function drawAll() {
  drawing = true;
  for (let next; (next = wanted.entries().next().value); ) {
    const [canvas, file] = next;
    wanted.delete(canvas);
    if (canvas.isConnected) await draw(canvas, file).catch(() => {});
  }
  drawing = false;
}

async function draw(canvas, file) {
  const bitmap = await createImageBitmap(file, { resizeWidth: 208, resizeQuality: "medium" });
  const side = Math.min(bitmap.width, bitmap.height);
  const [left, top] = [(bitmap.width - side) / 2, (bitmap.height - side) / 2];
  canvas.getContext("2d").drawImage(bitmap, left, top, side, side, 0, 0, canvas.width, canvas.height);
  bitmap.close();
}
