// The gallery: brings view, grid, selection, panel and keys together.

import { ask, isAsking, showWork } from "./asking.js";
import { change, linksOf } from "./bulk.js";
import { copyBy, copyText } from "./clipboard.js";
import { Grid } from "./grid.js";
import { Panel } from "./panel.js";
import { Place } from "./place.js";
import { Selection } from "./selection.js";
import { countText, sizeText } from "./texts.js";
import { fillTile, isGone, makeTile } from "./tile.js";
import { PAGE, View, queryOf } from "./view.js";

const TOLD_SECONDS = 8;
const byId = (id) => document.getElementById(id);
const paths = { ...byId("gallery").dataset };
const tools = byId("tools");
const said = byId("said");
const list = byId("grid");

let view;
let current = 0; // the tile that arrows move from
const selection = new Selection(paintSelection);
const grid = new Grid(list, (item) => makeTile(byId("tile"), item, paths, view.now), paintTile);
const panel = new Panel(byId("panel"), paths, tell, { onChange: changed, onDelete: (slug) => forget(new Set([slug])), onClose: closed });
const place = new Place(whereabouts);

// Views.

async function start(query, { after = "", before = [], anchor = "", offset = 0, panel: open = "" } = {}) {
  view?.close();
  view = new View(paths.api, query, after, before);
  selection.clear();
  try {
    await view.more();
    if (anchor) await view.more(); // so that there is room to scroll to any place of the first page
  } catch (error) {
    complain(error);
    return;
  }
  current = 0;
  show();
  const index = view.items.findIndex((item) => item.slug === anchor);
  if (index >= 0) grid.scrollTo(index, offset);
  if (open) panel.open(open);
  fillSight();
}

function show() {
  grid.setItems(view.items);
  byId("total").textContent = totalText();
  byId("empty").hidden = view.total > 0;
  const filtered = Object.values(view.query).some((value) => value && value !== "all" && value !== "newest");
  byId("unfit").hidden = !filtered;
  byId("none-yet").hidden = filtered;
  if (byId("next")) byId("next").hidden = true;
  if (byId("first")) byId("first").hidden = !view.first || view.before.length > 0;
  paintSelection();
}

function totalText() {
  const text = countText(view.total, "picture");
  return paths.bytes && view.total === Number(paths.total) ? `${text}, ${paths.bytes}` : text;
}

// Loads what the scroll has come near to.
async function fillSight() {
  const mine = view;
  try {
    if (scrollY < 2 * grid.pitch && mine.before.length) {
      const count = await mine.earlier();
      if (mine !== view || !count) return;
      grid.setItems(mine.items);
      scrollBy(0, Math.ceil(count / grid.columns) * grid.pitch);
      current += count;
      show();
      fillSight();
    } else if (list.getBoundingClientRect().bottom < 2 * innerHeight) {
      const columns = grid.columns;
      if (!(await mine.more(Math.max(1, Math.floor(PAGE / columns)) * columns)) || mine !== view) return;
      show();
      fillSight();
    }
  } catch (error) {
    complain(error);
  }
}

function whereabouts() {
  if (!view?.pages.length) return null;
  const index = Math.max(0, grid.firstInSight);
  const page = view.pageOf(index);
  const before = [...view.before, ...view.pages.slice(0, view.pages.indexOf(page))].map(({ after, count }) => ({ after, count }));
  const tile = grid.tileOf(index);
  const offset = tile ? -tile.getBoundingClientRect().top : 0;
  const state = { before, anchor: scrollY ? view.items[index]?.slug : "", offset, panel: panel.slug };
  return { query: view.query, after: page?.after || "", state };
}

function complain(error) {
  if (error.name !== "AbortError") tell(error.message);
}

let telling;

function tell(text) {
  said.textContent = text;
  clearTimeout(telling);
  telling = setTimeout(() => (said.textContent = ""), TOLD_SECONDS * 1000);
}

// Tiles and selection.

function paintTile(tile, item, index) {
  const [link, box] = [tile.querySelector("a"), tile.querySelector("input")];
  box.checked = selection.has(item.slug);
  tile.classList.toggle("on", box.checked);
  link.tabIndex = box.tabIndex = index === current ? 0 : -1;
  if (panel.slug === item.slug) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
}

function paintTiles() {
  for (let index = grid.range[0]; index < grid.range[1]; index++) paintAt(index);
}

function paintAt(index) {
  const tile = grid.tileOf(index);
  if (tile) paintTile(tile, grid.items[index], index);
}

function paintSelection() {
  if (!view?.pages.length) return;
  const count = selection.count(view.total);
  byId("selection").dataset.count = count;
  byId("selected").textContent = `${count.toLocaleString("en")} selected`;
  byId("weight").textContent = selection.weight === null ? "" : sizeText(selection.weight);
  paintTiles();
}

function changed(image) {
  const index = view.items.findIndex((item) => item.slug === image.slug);
  if (index < 0) return;
  const { folder } = view.query;
  if (folder && (image.folder || "unsorted") !== folder) {
    forget(new Set([image.slug]));
    return;
  }
  view.items[index] = image;
  const tile = grid.tileOf(index);
  if (tile) fillTile(tile, image, paths, view.now);
}

// Images that are here no more.
function forget(slugs) {
  if (slugs.has(panel.slug)) panel.close();
  const first = view.items.findIndex((item) => slugs.has(item.slug));
  view.remove(slugs);
  selection.forget(slugs);
  current = Math.max(0, Math.min(first, view.items.length - 1));
  show();
  if ([document.body, list].includes(document.activeElement)) grid.tileOf(current)?.querySelector("a").focus({ preventScroll: true });
  fillSight();
}

function closed() {
  paintTiles();
}

function openPanel(item) {
  panel.open(item.slug);
  paintTiles();
}

function goTo(index) {
  const before = current;
  current = Math.max(0, Math.min(view.items.length - 1, index));
  grid.bringIntoSight(current);
  paintAt(before);
  paintAt(current);
  grid.tileOf(current)?.querySelector("a").focus({ preventScroll: true });
}

// What is done with the selection.

async function deleteSelected() {
  if (isAsking()) return;
  const [count, { all }] = [selection.count(view.total), selection];
  if (!count) return;
  const title = `Delete ${all && count > 1 ? "all " : ""}${countText(count, "picture")}?`;
  const { yes } = await ask({ title, words: "Their links stop working at once. This cannot be undone.", confirm: "Delete", danger: true });
  if (yes) await act("delete", null, count, "Deleting");
}

async function moveSelected() {
  const count = selection.count(view.total);
  const { yes, folder } = await ask({ title: `Move ${countText(count, "picture")}`, confirm: "Move", folders: true });
  if (yes) await act("move", folder === "unsorted" ? null : folder, count, "Moving");
}

async function act(action, folder, count, title) {
  try {
    const { all } = selection;
    const { done, failed } = await showWork(title, count, (onProgress, signal) => change(action, folder, selection, paths.api, view.query, onProgress, signal));
    const leaves = action === "delete" || (view.query.folder && view.query.folder !== (folder || "unsorted"));
    tell(`${countText(done.size, "picture")} ${action === "delete" ? "deleted" : "moved"}${failed ? `, ${failed} could not be` : ""}`);
    if (all) await start(view.query);
    else if (leaves) forget(done);
    else selection.clear();
  } catch (error) {
    complain(error);
    if (error.name === "AbortError" || selection.all) await start(view.query);
  }
}

async function copySelected(event) {
  const button = event.currentTarget;
  const text = async () => (await linksOf(selection, paths.api, view.query)).join("\n");
  if (!selection.all) return copyBy(button, await text(), said);
  const links = await text();
  const { yes } = await ask({ title: `${countText(links.split("\n").length, "link")} to copy`, confirm: "Copy" });
  if (yes) await copyText(links);
}

// Mouse.

list.addEventListener("click", (event) => {
  const index = grid.indexOf(event.target.closest(".tile"));
  if (index < 0 || event.ctrlKey || event.metaKey) return;
  const box = event.target.matches("input");
  if (!box) event.preventDefault();
  const before = current;
  current = index;
  paintAt(before);
  paintAt(current);
  if (event.shiftKey) selection.range(view.items, index);
  else if (box) selection.toggle(view.items[index]);
  else openPanel(view.items[index]);
});

list.addEventListener("dblclick", (event) => {
  const item = view.items[grid.indexOf(event.target.closest(".tile"))];
  if (!item || event.target.matches("input") || isGone(item)) return;
  open(`${paths.root}/f/${item.slug}.${item.ext}`, "_blank", "noopener");
});

list.addEventListener("mousedown", (event) => event.shiftKey && event.preventDefault()); // no text is selected

// Thumbnails that the server was too busy for are asked for once more.
list.addEventListener(
  "error",
  ({ target }) => {
    if (target.dataset.again) return;
    target.dataset.again = "yes";
    setTimeout(() => (target.src = `${target.src}?again`), 3000);
  },
  true,
);

// Keys.

const MOVES = { ArrowLeft: () => -1, ArrowRight: () => 1, ArrowUp: () => -grid.columns, ArrowDown: () => grid.columns, Home: () => -Infinity, End: () => Infinity };

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (isAsking() || event.altKey || target.closest("select, textarea, input:not([type=checkbox]), details, summary")) return;
  const onTile = target.closest(".tile");
  if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === "a") selection.selectAll(view.now);
  else if (event.ctrlKey || event.metaKey) return;
  else if (key === "Escape") escape();
  else if (key === "Delete") deleteAt(onTile);
  else if (key === " " && onTile && target.matches("a")) selection.toggle(view.items[grid.indexOf(onTile)]);
  else if (MOVES[key] && (onTile || target === document.body || target === list)) move(MOVES[key](), event.shiftKey, onTile);
  else return;
  event.preventDefault();
});

function move(by, extend, onTile) {
  const from = onTile ? current : by > 0 ? current - by : current;
  if (extend && !selection.anchor && view.items[current]) selection.anchor = view.items[current].slug;
  goTo(from + by);
  if (extend) selection.range(view.items, current);
}

function escape() {
  if (selection.count(view.total)) selection.clear();
  else if (panel.slug) panel.close();
}

function deleteAt(onTile) {
  if (!selection.count(view.total) && onTile) selection.toggle(view.items[grid.indexOf(onTile)]);
  deleteSelected();
}

// Tools.

let typing;

function search(push) {
  clearTimeout(typing);
  const query = queryOf(new URLSearchParams(new FormData(tools)));
  panel.close();
  scrollTo(0, 0);
  start(query).then(() => place.save(push));
}

tools.addEventListener("submit", (event) => {
  event.preventDefault();
  search(true);
});
tools.elements.q.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(search, 300);
});
tools.addEventListener("change", ({ target }) => {
  if (target.name === "folder") tools.submit(); // the head and the frame go with it
  else if (target.name !== "q") search(true);
});
byId("delete").addEventListener("click", (event) => {
  event.preventDefault();
  deleteSelected();
});
byId("move").addEventListener("click", moveSelected);
byId("copy").addEventListener("click", copySelected);
byId("none").addEventListener("click", () => selection.clear());
addEventListener("popstate", () => location.reload());
addEventListener("scroll", () => fillSight(), { passive: true });

list.tabIndex = -1;
const here = new URLSearchParams(location.search);
start(queryOf(here), { ...place.state, after: here.get("after") || "" });
