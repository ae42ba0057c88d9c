// What is to become of the pictures: remembered in this browser, but for the password.

const KEY = "upload-options";
const REMEMBERED = ["expiration", "view_limit", "folder"];

export function rememberOptions(form, viewers) {
  const show = () => {
    viewers.classList.toggle("asked", form.elements.expiration.value === "views");
  };
  restore(form);
  show();
  form.addEventListener("change", () => {
    show();
    const values = REMEMBERED.map((name) => [name, form.elements[name].value]);
    try {
      localStorage.setItem(KEY, JSON.stringify(Object.fromEntries(values)));
    } catch {
      // no room, or not allowed: they are not remembered
    }
  });
}

function restore(form) {
  let values = {};
  try {
    values = JSON.parse(localStorage.getItem(KEY)) || {};
  } catch {
    return;
  }
  for (const name of REMEMBERED) {
    const field = form.elements[name];
    const known = field.options ? Array.from(field.options).some((option) => option.value === values[name]) : values[name];
    if (known) field.value = values[name];
  }
}

export function optionsOf(form) {
  const { expiration, view_limit: viewers, folder, password } = form.elements;
  return {
    expiration: expiration.value,
    view_limit: expiration.value === "views" ? viewers.value : "",
    folder: folder.value,
    password: password.value,
  };
}
