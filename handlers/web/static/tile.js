// An image's tile, as tile.html and tiles.py have it.

import { aheadText, dayText, sizeText } from "./texts.js";

const SOON = 7 * 86400;
const SIDE = 320;

export function isGone(image) {
  return image.views !== null && image.views >= (image.expiration === "burn" ? 1 : image.view_limit);
}

export function isGated(image) {
  return image.password_protected || ["burn", "views"].includes(image.expiration);
}

// `paths` has images (where an image's page is), root and files (what thumbnails' addresses begin with).
export function makeTile(template, image, paths, now) {
  const tile = template.content.firstElementChild.cloneNode(true);
  fillTile(tile, image, paths, now);
  return tile;
}

export function fillTile(tile, image, paths, now) {
  const gone = isGone(image);
  const [name, about, box] = [".name", ".cap .faint", "input"].map((selector) => tile.querySelector(selector));
  tile.dataset.slug = box.value = image.slug;
  tile.querySelector("a").href = `${paths.images}/${image.slug}`;
  name.textContent = gone ? "Seen and gone" : image.filename;
  const day = dayText(image.created_at, now);
  about.textContent = gone ? day : `${sizeText(image.size)} · ${day}`;
  box.setAttribute("aria-label", `Select ${name.textContent}`);
  tile.querySelector(".marks").replaceChildren(...marks(image, gone, now).map(chip));
  picture(tile.querySelector(".pic"), gone ? null : image, paths);
}

function picture(place, image, paths) {
  if (!image || place.firstElementChild) {
    if (!image) place.replaceChildren();
    return;
  }
  const scale = Math.min(1, SIDE / Math.max(image.width, image.height));
  const shown = document.createElement("img");
  shown.width = Math.max(1, Math.round(image.width * scale));
  shown.height = Math.max(1, Math.round(image.height * scale));
  Object.assign(shown, { alt: "", loading: "lazy", decoding: "async" });
  shown.src = `${isGated(image) ? paths.root : paths.files || paths.root}/t/${image.slug}.webp`;
  place.append(shown);
}

function marks(image, gone, now) {
  if (gone) return [["seen", "seen by all it was for"]];
  const found = image.password_protected ? [["lock", "password"]] : [];
  if (image.hdr) found.push(["hdr", "HDR"]);
  if (image.expiration === "burn") found.push(["seen", "shows once"]);
  else if (image.view_limit) found.push(["seen", `${image.views} of ${image.view_limit} seen`]);
  const left = image.expires_at === null ? Infinity : image.expires_at - now;
  if (left < SOON) found.push(["soon", `expires ${aheadText(image.expires_at, now)}`]);
  return found;
}

function chip([kind, text]) {
  const made = document.createElement("span");
  made.className = `chip ${kind}`;
  made.textContent = text;
  return made;
}
