// A view of the gallery: its images as far as they have been looked at, page by page, by the API's cursors.

import { call } from "./api.js";

export const PAGE = 60;
const NAMES = ["q", "folder", "sort", "show"];

export class View {
  // `query` has q, folder, sort and show; `after` is the cursor of the first page, `before` those of the pages before.
  constructor(api, query, after = "", before = []) {
    Object.assign(this, { api, query, before: [...before], items: [], pages: [], total: 0, now: 0 });
    this.next = after;
    this.ended = false;
    this.controller = new AbortController();
  }

  get first() {
    return this.pages.length ? this.pages[0].after : this.next;
  }

  async more(limit = PAGE) {
    if (this.ended || this.loading) return false;
    const after = this.next;
    const answer = await this.#load(after, limit);
    this.pages.push({ after, start: this.items.length, count: answer.images.length });
    this.items.push(...answer.images);
    this.next = answer.next;
    this.ended = !answer.next;
    return true;
  }

  // The page before the first; returns how many images that are.
  async earlier() {
    if (!this.before.length || this.loading) return 0;
    const { after, count } = this.before.at(-1);
    const answer = await this.#load(after, Math.max(1, count));
    this.before.pop();
    const known = new Set(this.items.map((item) => item.slug));
    const images = answer.images.filter((image) => !known.has(image.slug));
    for (const page of this.pages) page.start += images.length;
    this.pages.unshift({ after, start: 0, count: images.length });
    this.items.unshift(...images);
    return images.length;
  }

  // The page in which an image is.
  pageOf(index) {
    return this.pages.findLast((page) => page.start <= index) || this.pages[0];
  }

  remove(slugs) {
    this.total -= this.items.filter((item) => slugs.has(item.slug)).length;
    for (const page of this.pages) {
      const gone = this.items.slice(page.start, page.start + page.count).filter((item) => slugs.has(item.slug)).length;
      page.left = page.count - gone;
    }
    let start = 0;
    for (const page of this.pages) {
      Object.assign(page, { start, count: page.left });
      start += page.left;
    }
    this.items = this.items.filter((item) => !slugs.has(item.slug));
  }

  close() {
    this.controller.abort();
  }

  async #load(after, limit) {
    this.loading = true;
    try {
      const answer = await call("GET", listUrl(this.api, this.query, after, limit), null, this.controller.signal);
      this.total = answer.total;
      this.now = answer.now;
      return answer;
    } finally {
      this.loading = false;
    }
  }
}

// Every image of a view, in pages of a hundred, as they are now.
export async function* walk(api, query, signal) {
  for (let after = ""; after !== null; ) {
    const answer = await call("GET", listUrl(api, query, after, 100), null, signal);
    yield answer.images;
    after = answer.next;
  }
}

export function queryOf(search) {
  const parameters = new URLSearchParams(search);
  return Object.fromEntries(NAMES.map((name) => [name, parameters.get(name) || ""]));
}

export function searchOf(query, after) {
  const parameters = new URLSearchParams();
  for (const name of NAMES) if (query[name] && !["newest", "all"].includes(query[name])) parameters.set(name, query[name]);
  if (after) parameters.set("after", after);
  const text = parameters.toString();
  return text ? `?${text}` : "";
}

function listUrl(api, query, after, limit) {
  const parameters = new URLSearchParams({ limit });
  for (const [name, value] of Object.entries({ ...query, after })) if (value) parameters.set(name, value);
  return `${api}/images?${parameters}`;
}
