// The dialog that asks before something is done, and shows how far it is.

const dialog = document.getElementById("ask");
const [question, text, field, bar, yes, no] = ["h2", "p", "label", "progress", "[value=yes]", "[value=no]"].map((name) => dialog.querySelector(name));

// Whether the answer is yes, and the folder that was chosen where `folders` is true.
export function ask({ title, words = "", confirm, danger = false, folders = false }) {
  question.textContent = title;
  text.textContent = words;
  yes.textContent = confirm;
  yes.className = danger ? "danger" : "";
  no.textContent = "Cancel";
  [yes.hidden, field.hidden, bar.hidden] = [false, !folders, true];
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    const answer = () => resolve({ yes: dialog.returnValue === "yes", folder: field.querySelector("select").value });
    dialog.addEventListener("close", answer, { once: true });
  });
}

// Does something long behind the dialog; `work` gets a function that shows how far it is, and a signal to stop.
export async function showWork(title, total, work) {
  const controller = new AbortController();
  const stop = () => controller.abort();
  question.textContent = title;
  text.textContent = "";
  no.textContent = "Stop";
  [yes.hidden, field.hidden, bar.hidden] = [true, true, false];
  Object.assign(bar, { max: Math.max(1, total), value: 0 });
  bar.setAttribute("aria-label", title);
  dialog.addEventListener("close", stop, { once: true });
  dialog.showModal();
  try {
    return await work((done) => {
      bar.value = done;
    }, controller.signal);
  } finally {
    dialog.removeEventListener("close", stop);
    dialog.close();
  }
}

export const isAsking = () => dialog.open;
