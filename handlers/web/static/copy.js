// Copying with one click, where the browser can. Without it there are fields to select.
"use strict";

const said = document.querySelector("[role=status]");

async function copy(button) {
  const field = document.getElementById(button.dataset.copies);
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    document.execCommand("copy"); // where the page came without TLS there is no clipboard
  }
  const text = button.textContent;
  button.textContent = "Copied";
  said.textContent = button.dataset.what + " copied";
  setTimeout(() => {
    button.textContent = text;
    said.textContent = "";
  }, 2000);
}

for (const button of document.querySelectorAll("[data-copies]")) {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
}
