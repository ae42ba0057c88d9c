// The links to an image that people paste elsewhere, each with a button that copies it, and the QR code.

import { copyBy } from "./clipboard.js";

export function fillFormats(place, image, images, said) {
  const gated = image.password_protected || ["burn", "views"].includes(image.expiration);
  const links = [
    ["Link", image.share_url],
    ...(gated ? [] : [["Direct link", image.direct_url]]),
    ["HTML", image.embed.html],
    ["Markdown", image.embed.markdown],
    ["BBCode", image.embed.bbcode],
  ];
  const code = document.createElement("img");
  code.className = "qr";
  Object.assign(code, { width: 148, height: 148, alt: "QR code of the link", src: `${images}/${image.slug}/qr.svg` });
  place.replaceChildren(...links.map(([label, text]) => row(label, text, said)), code);
}

function row(label, text, said) {
  const place = document.createElement("div");
  const field = document.createElement("label");
  const input = document.createElement("input");
  const button = document.createElement("button");
  place.className = "copy";
  field.className = "field";
  button.className = "quiet";
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy ${label}`);
  Object.assign(input, { value: text, readOnly: true });
  input.addEventListener("focus", () => input.select());
  button.addEventListener("click", () => copyBy(button, text, said));
  field.append(label, input);
  place.append(field, button);
  return place;
}
