// Which images are selected: some, by their slugs, or all of the view but some.

export class Selection {
  constructor(onChange) {
    this.onChange = onChange;
    this.all = false;
    this.slugs = new Map(); // by slug: size and link; of `all` those that are not selected
    this.anchor = null;
    this.until = 0;
  }

  has(slug) {
    return this.all !== this.slugs.has(slug);
  }

  count(total) {
    return this.all ? Math.max(0, total - this.slugs.size) : this.slugs.size;
  }

  // Bytes, or null where they are not known.
  get weight() {
    return this.all ? null : Array.from(this.slugs.values()).reduce((sum, { size }) => sum + size, 0);
  }

  set(item, selected) {
    if (selected === this.all) this.slugs.delete(item.slug);
    else this.slugs.set(item.slug, { size: item.size, link: item.share_url });
  }

  toggle(item) {
    this.set(item, !this.has(item.slug));
    this.anchor = item.slug;
    this.onChange();
  }

  // From the one that was ticked last to this one.
  range(items, to) {
    const from = items.findIndex((item) => item.slug === this.anchor);
    const [start, stop] = [from < 0 ? to : Math.min(from, to), Math.max(from, to)];
    for (const item of items.slice(start, stop + 1)) this.set(item, true);
    if (from < 0) this.anchor = items[to].slug;
    this.onChange();
  }

  // All there are now, by the server's time: what is uploaded later is not among them.
  selectAll(now) {
    Object.assign(this, { all: true, until: now, anchor: null });
    this.slugs.clear();
    this.onChange();
  }

  forget(slugs) {
    for (const slug of slugs) this.slugs.delete(slug);
    this.onChange();
  }

  clear() {
    this.all = false;
    this.slugs.clear();
    this.anchor = null;
    this.onChange();
  }
}
