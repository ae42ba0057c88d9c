// The panel beside the grid: the image's page, taken from there, with its forms sent to the API.

import { call } from "./api.js";
import { copyBy } from "./clipboard.js";

export class Panel {
  // `onChange` gets the image as it is after a change, `onDelete` a slug, `onClose` nothing.
  constructor(place, paths, tell, { onChange, onDelete, onClose }) {
    Object.assign(this, { place, paths, tell, onChange, onDelete, onClose, slug: "" });
    place.addEventListener("submit", (event) => this.#submit(event));
    place.addEventListener("click", (event) => {
      const button = event.target.closest("[data-copy]");
      if (button) copyBy(button, button.dataset.copy);
    });
  }

  async open(slug) {
    this.controller?.abort();
    this.controller = new AbortController();
    this.slug = slug;
    const response = await fetch(`${this.paths.images}/${slug}`, { signal: this.controller.signal }).catch((error) => {
      if (error.name !== "AbortError") this.tell("The server could not be reached.");
    });
    if (!response || slug !== this.slug) return;
    const shown = new DOMParser().parseFromString(await response.text(), "text/html").querySelector(".panel");
    if (slug !== this.slug) return;
    if (!shown) {
      this.close();
      return;
    }
    shown.classList.remove("alone");
    this.place.replaceChildren(document.adoptNode(shown), this.#closer());
    this.place.hidden = false;
    this.place.parentElement.classList.add("with-panel");
  }

  close() {
    this.controller?.abort();
    this.slug = "";
    this.place.hidden = true;
    this.place.replaceChildren();
    this.place.parentElement.classList.remove("with-panel");
    this.onClose();
  }

  #closer() {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet close";
    button.textContent = "\u00d7";
    button.setAttribute("aria-label", "Close");
    button.addEventListener("click", () => this.close());
    return button;
  }

  async #submit(event) {
    event.preventDefault();
    const [form, slug] = [event.target, this.slug];
    const url = `${this.paths.api}/images/${slug}`;
    try {
      if (form.classList.contains("remove")) {
        await call("DELETE", url);
        this.onDelete(slug);
        return;
      }
      this.onChange(await call("PATCH", url, changes(form, event.submitter)));
      await this.open(slug);
      this.tell("Saved");
    } catch (error) {
      this.#complain(error);
    }
  }

  #complain(error) {
    const alert = this.place.querySelector("[role=alert]");
    if (!alert) throw error;
    alert.textContent = error.message;
    alert.hidden = false;
  }
}

function changes(form, submitter) {
  if (submitter?.name === "remove_password") return { password: null };
  const values = Object.fromEntries(new FormData(form));
  if ("folder" in values) values.folder ||= null;
  if (values.expiration && values.expiration !== "views") delete values.view_limit;
  return values;
}
