// The queue of uploads: three at a time, in their order; what must wait waits in its place and goes on by itself.

import { HEAD, refusalOf } from "./kinds.js";
import { send } from "./sending.js";

const AT_ONCE = 3;
const LONGEST_WAIT = 30;
const SPEED_SECONDS = 3;
const SLICE = 10; // milliseconds

// States: checking, queued, sending, waiting; stored, refused, cancelled.
const ENDED = new Set(["stored", "refused", "cancelled"]);

export class Queue {
  // `limits` has what the browser can know: mostBytes, most (as a text), bytesLeft (or Infinity).
  constructor(url, limits, onChange) {
    this.items = [];
    this.counts = { stored: 0, refused: 0, cancelled: 0 };
    this.url = url;
    this.limits = limits;
    this.onChange = onChange;
    this.running = 0;
    this.unchecked = [];
    this.queued = [];
    addEventListener("online", () => this.items.forEach((item) => item.state === "waiting" && item.resume?.()));
  }

  get busy() {
    return this.items.length > this.counts.stored + this.counts.refused + this.counts.cancelled;
  }

  add(files, fields) {
    for (const file of files) {
      const item = { key: newKey(), file, name: file.name, size: null, fields, state: "checking", sent: 0, tries: 0 };
      this.items.push(item);
      this.unchecked.push(item);
    }
    this.#checkAll();
    this.onChange();
  }

  cancel(item) {
    if (ENDED.has(item.state)) return;
    item.abort?.();
    this.#end(item, "cancelled");
    item.resume?.();
  }

  retry(item) {
    if (item.state !== "refused") return;
    this.counts.refused--;
    Object.assign(item, { tries: 0, again: false });
    this.#enqueue(item);
  }

  clearEnded() {
    this.items = this.items.filter((item) => !ENDED.has(item.state));
    this.counts = { stored: 0, refused: 0, cancelled: 0 };
    this.onChange();
  }

  remove(item) {
    if (!ENDED.has(item.state)) return;
    this.counts[item.state]--;
    this.items.splice(this.items.indexOf(item), 1);
    this.onChange();
  }

  // One by one, so that a drop of thousands leaves the page free; what is good begins meanwhile. To ask for a file's size
  // alone may take the browser a part of a millisecond.
  async #checkAll() {
    if (this.checking) return;
    this.checking = true;
    let began = performance.now();
    for (let item; (item = this.unchecked.shift()); ) {
      if (performance.now() - began > SLICE) {
        await new Promise((resolve) => setTimeout(resolve));
        began = performance.now();
      }
      const why = await this.#refusal(item);
      if (item.state !== "checking") continue;
      if (why) this.#refuse(item, why);
      else this.#enqueue(item);
    }
    this.checking = false;
  }

  async #refusal(item) {
    item.size = item.file.size;
    if (!item.size) return "The file is empty.";
    if (item.size > this.limits.mostBytes) return `The file is larger than ${this.limits.most}.`;
    if (item.size > this.limits.bytesLeft) return "There is no room for it in your storage any more.";
    try {
      return refusalOf(new Uint8Array(await item.file.slice(0, HEAD).arrayBuffer()));
    } catch {
      return "The file cannot be read.";
    }
  }

  #enqueue(item) {
    item.state = "queued";
    this.queued.push(item);
    this.onChange(item);
    this.#next();
  }

  #next() {
    while (this.running < AT_ONCE && this.queued.length) {
      const item = this.queued.shift();
      if (item.state === "queued") this.#run(item);
    }
  }

  async #run(item) {
    this.running++;
    let how;
    do {
      how = await this.#attempt(item);
    } while (how.kind === "wait" && (await this.#wait(item, how)));
    this.running--;
    if (how.kind === "stored" && !ENDED.has(item.state)) {
      item.image = how.image;
      this.limits.bytesLeft -= how.image.size;
      this.#end(item, "stored");
    } else if (how.kind === "refused" && !ENDED.has(item.state)) this.#refuse(item, how.why, how.again);
    this.#next();
  }

  #attempt(item) {
    const began = performance.now();
    let [before, last] = [0, began];
    Object.assign(item, { state: "sending", sent: 0, speed: 0, tries: item.tries + 1 });
    const { ended, abort } = send(this.url, item, (sent) => {
      const now = performance.now();
      const seconds = (now - last) / 1000;
      if (seconds > 0.2) {
        const share = Math.min(1, seconds / SPEED_SECONDS);
        item.speed = item.speed ? item.speed * (1 - share) + (share * (sent - before)) / seconds : (sent - before) / seconds;
        [before, last] = [sent, now];
      }
      item.sent = sent;
      this.onChange(item);
    });
    item.abort = abort;
    this.onChange(item);
    return ended;
  }

  // Whether to try again. A file that cannot be read any more looks like a lost connection to the browser.
  async #wait(item, { seconds, why }) {
    if (item.state === "cancelled") return false;
    const readable = await item.file.slice(0, 1).arrayBuffer().then(() => true, () => false);
    if (!readable) {
      this.#refuse(item, "The file has changed, or is gone. Choose it again.");
      return false;
    }
    const wait = seconds ?? Math.min(LONGEST_WAIT, 2 ** item.tries);
    Object.assign(item, { state: "waiting", why, until: Date.now() + wait * 1000 });
    this.onChange(item);
    await new Promise((resolve) => {
      item.resume = resolve;
      setTimeout(resolve, wait * 1000);
    });
    item.resume = null;
    return item.state === "waiting";
  }

  #refuse(item, why, again = false) {
    Object.assign(item, { why, again });
    this.#end(item, "refused");
  }

  #end(item, state) {
    item.state = state;
    item.abort = null;
    this.counts[state]++;
    this.onChange(item);
  }
}

function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
