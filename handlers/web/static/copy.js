// Copying with one click, where the browser can. Without it there are texts to select.
"use strict";

const said = document.querySelector("[role=status]");

function select(source) {
  if (source.select) source.select();
  else getSelection().selectAllChildren(source);
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copies);
  select(source);
  try {
    await navigator.clipboard.writeText(source.value ?? source.textContent);
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
