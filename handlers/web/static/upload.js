// The uploader: pictures that are dropped, pasted, chosen or taken go into the queue; the list shows how far they are.

import { copyBy } from "./clipboard.js";
import { dropped, pasted } from "./incoming.js";
import { optionsOf, rememberOptions } from "./options.js";
import { Queue } from "./queue.js";
import { ROWS, Rows } from "./rows.js";
import { countText, numberText } from "./texts.js";

const byId = (id) => document.getElementById(id);
const form = byId("drop");
const said = byId("said");
const { api, images, mostBytes, most, bytesLeft } = form.dataset;
const limits = { mostBytes: Number(mostBytes), most, bytesLeft: bytesLeft ? Number(bytesLeft) : Infinity };

const queue = new Queue(api, limits, changed);
const rows = new Rows(byId("queue"), byId("item"), images, said, queue);
const stale = new Set();
let listStale = false;
let first = 0;
let follows = true; // the part that is shown moves on with what is being sent
let wasBusy = false;

// However often something changes, the page is painted once a frame.
function changed(item) {
  if (!stale.size && !listStale) requestAnimationFrame(paint);
  if (item) stale.add(item);
  listStale ||= !item || !["sending", "waiting"].includes(item.state);
}

function paint() {
  if (listStale) paintList();
  else stale.forEach((item) => rows.fill(item));
  stale.clear();
  listStale = false;
}

function paintList() {
  const shown = byId("failed").checked ? queue.items.filter((item) => item.state === "refused") : queue.items;
  if (follows) first = partOf(shown.findIndex((item) => !["stored", "refused", "cancelled"].includes(item.state)), shown.length);
  first = Math.min(first, partOf(-1, shown.length));
  rows.show(shown.slice(first, first + ROWS));
  byId("queue").hidden = !shown.length;
  byId("pages").hidden = queue.items.length <= ROWS;
  byId("earlier").disabled = first === 0;
  byId("later").disabled = first + ROWS >= shown.length;
  byId("part").textContent = shown.length ? `${numberText(first + 1)} to ${numberText(Math.min(first + ROWS, shown.length))} of ${numberText(shown.length)}` : "none";
  paintSummary();
}

// The first row of the part in which an item is; of none, of the last part.
function partOf(index, length) {
  const at = index < 0 ? Math.max(0, length - 1) : index;
  return at - (at % ROWS);
}

function paintSummary() {
  const { stored, refused } = queue.counts;
  const text = `${numberText(stored)} of ${numberText(queue.items.length)} uploaded` + (refused ? `, ${numberText(refused)} not` : "");
  byId("summary").hidden = !queue.items.length;
  byId("count").textContent = text;
  byId("copy").disabled = !stored;
  byId("clear").disabled = !(stored + refused + queue.counts.cancelled);
  byId("again").hidden = !queue.items.some((item) => item.state === "refused" && item.again);
  if (wasBusy && !queue.busy && queue.items.length) said.textContent = text;
  wasBusy = queue.busy;
}

function add(files) {
  if (!files.length) return;
  said.textContent = `${countText(files.length, "file")} added`;
  follows = true;
  queue.add(files, optionsOf(form));
}

function chooser(camera) {
  const input = document.createElement("input");
  Object.assign(input, { type: "file", accept: byId("file").accept, multiple: !camera });
  if (camera) input.capture = "environment";
  input.addEventListener("change", () => add(Array.from(input.files)));
  input.click();
}

function turn(by) {
  follows = false;
  first = Math.max(0, first + by);
  changed();
}

const hasFiles = (transfer) => Array.from(transfer?.types || []).includes("Files");

rememberOptions(form, byId("viewers"));
byId("file").required = false;
form.addEventListener("submit", (event) => event.preventDefault());
byId("choose").addEventListener("click", () => chooser(false));
byId("camera").addEventListener("click", () => chooser(true));
byId("earlier").addEventListener("click", () => turn(-ROWS));
byId("later").addEventListener("click", () => turn(ROWS));
byId("failed").addEventListener("change", () => turn(-Infinity));
byId("clear").addEventListener("click", () => queue.clearEnded());
byId("again").addEventListener("click", () => queue.items.filter((item) => item.again).forEach((item) => queue.retry(item)));
byId("copy").addEventListener("click", (event) => {
  const links = queue.items.filter((item) => item.state === "stored").map((item) => item.image.share_url);
  copyBy(event.currentTarget, links.join("\n"), said);
});
document.addEventListener("dragover", (event) => {
  if (!hasFiles(event.dataTransfer)) return;
  event.preventDefault();
  form.classList.add("over");
});
document.addEventListener("dragleave", (event) => event.relatedTarget || form.classList.remove("over"));
document.addEventListener("drop", async (event) => {
  form.classList.remove("over");
  if (!hasFiles(event.dataTransfer)) return;
  event.preventDefault();
  add(await dropped(event.dataTransfer));
});
document.addEventListener("paste", (event) => {
  if (!event.clipboardData?.files.length) return;
  event.preventDefault();
  add(pasted(event.clipboardData));
});
addEventListener("beforeunload", (event) => {
  if (!queue.busy) return;
  event.preventDefault();
  event.returnValue = "unsaved"; // what older browsers look at
});
setInterval(() => queue.items.forEach((item) => item.state === "waiting" && changed(item)), 1000);
