// Copies a text. Where the page came without TLS, browsers have no clipboard for scripts: then by selecting it.

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "out-of-sight";
    const focused = document.activeElement;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    focused?.focus();
  }
}

// Copies at a click, and says so on the button.
export async function copyBy(button, text, said) {
  await copyText(text);
  if (button.dataset.says) return;
  button.dataset.says = button.textContent;
  button.textContent = "Copied";
  if (said) said.textContent = "Copied";
  setTimeout(() => {
    button.textContent = button.dataset.says;
    delete button.dataset.says;
    if (said) said.textContent = "";
  }, 2000);
}
