// The list of uploads: fifty rows at a time, whatever their number.

import { copyBy } from "./clipboard.js";
import { fillFormats } from "./formats.js";
import { preview } from "./previews.js";
import { durationText, removedText, sizeText } from "./texts.js";

export const ROWS = 50;

export class Rows {
  constructor(list, template, images, said, queue) {
    Object.assign(this, { list, template, images, said, queue });
    this.rows = new Map();
  }

  // Shows these items, and no others.
  show(items) {
    const kept = new Map(items.map((item) => [item.key, this.rows.get(item.key) || this.#make(item)]));
    for (const [id, row] of this.rows) if (!kept.has(id)) row.remove();
    this.rows = kept;
    let at = this.list.firstElementChild;
    for (const row of kept.values()) {
      if (row === at) at = at.nextElementSibling;
      else this.list.insertBefore(row, at);
    }
    items.forEach((item) => {
      const row = kept.get(item.key);
      if (!row.drawn) preview(item.file, row.querySelector("canvas"));
      row.drawn = true;
      this.fill(item);
    });
  }

  fill(item) {
    const row = this.rows.get(item.key);
    if (!row) return;
    const [progress, said, more, soft] = ["progress", ".said", ".more", ".num"].map((name) => row.querySelector(name));
    progress.hidden = item.state !== "sending";
    progress.value = item.size ? item.sent / item.size : 0;
    soft.textContent = item.state === "sending" ? sendingText(item) : item.state === "queued" ? sizeText(item.size) : "";
    said.textContent = saidOf(item);
    more.textContent = item.state === "stored" ? storedText(item.image) : "";
    chips(row, item);
    if (row.state !== item.state) this.#act(row, item);
    row.state = item.state;
  }

  #make(item) {
    const row = this.template.content.firstElementChild.cloneNode(true);
    row.querySelector("b").textContent = item.name;
    row.querySelector("progress").setAttribute("aria-label", `Sent of ${item.name}`);
    return row;
  }

  #act(row, item) {
    const actions = {
      stored: [["Copy link", "quiet", (button) => copyBy(button, item.image.share_url, this.said)], ["More formats", "bare", (button) => this.#more(row, item, button)]],
      refused: [...(item.again ? [["Try again", "quiet", () => this.queue.retry(item)]] : []), ["Remove", "bare", () => this.queue.remove(item)]],
      cancelled: [["Remove", "bare", () => this.queue.remove(item)]],
    }[item.state] || [["Cancel", "bare", () => this.queue.cancel(item)]];
    const place = row.querySelector(".acts");
    const same = Array.from(place.children, (button) => button.dataset.name).join() === actions.map(([name]) => name).join();
    if (!same) place.replaceChildren(...actions.map(([name, look, act]) => button(name, look, act, item.name)));
  }

  #more(row, item, button) {
    const place = row.querySelector(".formats");
    if (!place.firstChild) fillFormats(place, item.image, this.images, this.said);
    place.hidden = !place.hidden;
    button.setAttribute("aria-expanded", String(!place.hidden));
  }
}

function button(name, look, act, of) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = look;
  made.dataset.name = name;
  made.textContent = name;
  made.setAttribute("aria-description", of);
  made.addEventListener("click", () => act(made));
  return made;
}

function sendingText(item) {
  const percent = Math.floor((100 * item.sent) / item.size);
  if (item.sent >= item.size) return `${sizeText(item.size)} sent, the server works on it`;
  if (!item.speed) return `${percent} % of ${sizeText(item.size)}`;
  return `${percent} % of ${sizeText(item.size)} · ${sizeText(item.speed)}/s · ${durationText((item.size - item.sent) / item.speed)} left`;
}

function saidOf(item) {
  if (item.state === "waiting") return `${item.why} Tries again in ${durationText((item.until - Date.now()) / 1000)}.`;
  if (item.state === "refused") return item.why;
  return item.state === "stored" ? item.image.share_url.replace(/^\w+:\/\//, "") : "";
}

function storedText(image) {
  return [sizeText(image.size), removedText(image.removed)].filter(Boolean).map((text) => `· ${text}`).join(" ");
}

const CHIPS = { stored: ["ok", "uploaded"], waiting: ["warn", "waiting"], refused: ["bad", "not uploaded"], cancelled: ["", "cancelled"] };

function chips(row, item) {
  const [state, once] = row.querySelectorAll(".chip");
  const [look, text] = CHIPS[item.state] || ["", ""];
  state.className = `chip ${look}`;
  state.textContent = text;
  state.hidden = !text;
  const words = item.state === "stored" ? [item.image.password_protected && "password", viewers(item.image)].filter(Boolean) : [];
  once.textContent = words.join(", ");
  once.hidden = !words.length;
}

function viewers(image) {
  if (image.expiration === "burn") return "seen once";
  return image.expiration === "views" && `seen by ${image.view_limit}`;
}
