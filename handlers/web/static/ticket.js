// A picture that is dropped or chosen goes at once, with a word on how far it is. Without this there is the form.
"use strict";

const form = document.querySelector("form");
const said = document.querySelector("[role=status]");

function send(file) {
  const body = new FormData();
  body.append("file", file);
  const request = new XMLHttpRequest();
  request.open("POST", location.pathname);
  request.setRequestHeader("Accept", "application/json");
  request.responseType = "json";
  request.upload.addEventListener("progress", (event) => {
    said.textContent = "Uploading, " + Math.round((100 * event.loaded) / event.total) + " %";
  });
  request.addEventListener("load", () => finish(request.status, request.response || {}));
  request.addEventListener("error", () => finish(0, {}));
  request.send(body);
  form.querySelector("button").disabled = true;
}

function finish(status, answer) {
  if (status === 200) {
    const link = document.createElement("a");
    link.href = link.textContent = answer.share_url;
    said.replaceChildren("Uploaded: ", link);
    form.querySelector("button").remove();
    return;
  }
  said.textContent = (answer.error || "The connection was lost") + ".";
  form.querySelector("button").disabled = false;
}

if (form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form.elements.file.files[0]);
  });
  form.elements.file.addEventListener("change", () => form.elements.file.files.length && send(form.elements.file.files[0]));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
  });
}
