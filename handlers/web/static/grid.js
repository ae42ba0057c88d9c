// The grid: of any number of images, the tiles of the rows in sight and of a few around them are on the page.

const AROUND = 4; // rows above and below those in sight
const MARGIN = 12;
const BAR = 90; // pixels at the bottom that the selection bar may hide

export class Grid {
  // `make` gives the tile of an item, `fill` brings one up to date. Tiles that the page came with are used again.
  constructor(list, make, fill) {
    Object.assign(this, { list, make, fill, items: [] });
    this.tiles = new Map(Array.from(list.children, (tile) => [tile.dataset.slug, tile]));
    this.range = [0, 0];
    new ResizeObserver(() => this.draw()).observe(list);
    addEventListener("scroll", () => this.draw(), { passive: true });
  }

  setItems(items) {
    this.items = items;
    this.range = [0, 0];
    this.draw(true);
  }

  get columns() {
    return getComputedStyle(this.list).gridTemplateColumns.split(" ").length;
  }

  // A row's height with its gap, in pixels.
  get pitch() {
    const tile = this.list.firstElementChild;
    const gap = Number.parseFloat(getComputedStyle(this.list).rowGap) || 0;
    return tile ? tile.getBoundingClientRect().height + gap : 0;
  }

  get top() {
    return this.list.getBoundingClientRect().top + scrollY;
  }

  // Where the first image in sight is.
  get firstInSight() {
    const pitch = this.pitch;
    const row = pitch ? Math.max(0, Math.floor((scrollY - this.top) / pitch + 0.5)) : 0;
    return Math.min(this.items.length - 1, row * this.columns);
  }

  // Scrolls to where an image's tile is, or so many pixels below its top.
  scrollTo(index, offset) {
    scrollTo(0, this.#yOf(index) + offset);
    this.draw();
  }

  bringIntoSight(index) {
    const [y, pitch] = [this.#yOf(index), this.pitch];
    if (y < scrollY) scrollTo(0, y - MARGIN);
    else if (y + pitch > scrollY + innerHeight - BAR) scrollTo(0, y + pitch - innerHeight + BAR);
    this.draw();
  }

  #yOf(index) {
    return this.top + Math.floor(index / this.columns) * this.pitch;
  }

  tileOf(index) {
    const item = this.items[index];
    return item && this.tiles.get(item.slug);
  }

  indexOf(tile) {
    return tile ? this.items.findIndex((item) => item.slug === tile.dataset.slug) : -1;
  }

  draw(anew = false) {
    if (!this.items.length) return this.#put(0, 0, 1, 0, anew);
    if (!this.list.firstElementChild) this.#put(0, 1, 1, 0, true); // one, to measure
    const [columns, pitch] = [this.columns, this.pitch];
    const rows = Math.ceil(this.items.length / columns);
    const above = Math.floor((scrollY - this.top) / pitch) - AROUND;
    const below = Math.ceil((scrollY + innerHeight - this.top) / pitch) + AROUND;
    const from = Math.min(Math.max(0, above), Math.max(0, rows - 1));
    const to = Math.max(from + 1, Math.min(rows, below));
    this.#put(from * columns, Math.min(this.items.length, to * columns), columns, pitch, anew);
  }

  #put(from, to, columns, pitch, anew) {
    const rows = Math.ceil(this.items.length / columns);
    this.list.style.paddingTop = `${(from / columns) * pitch}px`;
    this.list.style.paddingBottom = `${(rows - Math.ceil(to / columns)) * pitch}px`;
    if (!anew && from === this.range[0] && to === this.range[1]) return;
    this.range = [from, to];
    const focused = document.activeElement?.closest?.(".tile");
    const shown = this.items.slice(from, to);
    const tiles = new Map(shown.map((item) => [item.slug, this.tiles.get(item.slug) || this.make(item)]));
    if (focused && !tiles.has(focused.dataset.slug)) this.list.focus({ preventScroll: true });
    for (const [slug, tile] of this.tiles) if (!tiles.has(slug)) tile.remove();
    this.tiles = tiles;
    let at = this.list.firstElementChild;
    shown.forEach((item, index) => {
      const tile = tiles.get(item.slug);
      if (tile === at) at = at.nextElementSibling;
      else this.list.insertBefore(tile, at);
      this.fill(tile, item, from + index);
    });
  }
}
