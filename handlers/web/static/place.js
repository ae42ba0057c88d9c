// Where one is in the gallery, kept in the address and in the browser's history: reload and Back return there.

import { searchOf } from "./view.js";

const MOST_PAGES = 500;
const PAUSE = 250; // browsers allow no more than some changes a second

export class Place {
  // `tell` gives {query, after, state} of what is in sight now, or null.
  constructor(tell) {
    this.tell = tell;
    history.scrollRestoration = "manual";
    addEventListener("scroll", () => this.#soon(), { passive: true });
    addEventListener("pagehide", () => this.save());
  }

  get state() {
    return history.state?.gallery || {};
  }

  save(push = false) {
    clearTimeout(this.timer);
    this.timer = null;
    const told = this.tell();
    if (!told) return;
    const { query, after, state } = told;
    const address = location.pathname + searchOf(query, after);
    history[push ? "pushState" : "replaceState"]({ gallery: { ...state, before: state.before.slice(-MOST_PAGES) } }, "", address);
  }

  #soon() {
    this.timer ||= setTimeout(() => this.save(), PAUSE);
  }
}
