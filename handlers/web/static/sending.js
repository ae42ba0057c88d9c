// Sends one file by the API, once, and tells how it ended.

const STALLED_SECONDS = 60;
const ANSWER_SECONDS = 150;
const PATIENT = new Set(["rate_limited", "overloaded", "read_only", "in_progress", "timeout", "storage_unavailable", "internal"]);

// Ends are {kind: "stored", image}, {kind: "wait", seconds, why}, {kind: "refused", why, again} and {kind: "aborted"};
// `seconds` is null where the server has not said how long.
export function send(url, item, onProgress) {
  const request = new XMLHttpRequest();
  const ended = new Promise((resolve) => {
    let stalled;
    const watch = (seconds) => {
      clearTimeout(stalled);
      stalled = setTimeout(() => request.abort(), seconds * 1000);
    };
    const end = (how) => {
      clearTimeout(stalled);
      resolve(how);
    };
    request.upload.addEventListener("progress", (event) => {
      watch(STALLED_SECONDS);
      onProgress(Math.min(event.loaded, item.size));
    });
    request.upload.addEventListener("load", () => watch(ANSWER_SECONDS));
    request.addEventListener("load", () => end(outcome(request)));
    request.addEventListener("error", () => end(lost()));
    request.addEventListener("abort", () => end(request.cancelled ? { kind: "aborted" } : lost()));
    request.open("POST", url);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("Idempotency-Key", item.key);
    request.send(body(item));
    watch(STALLED_SECONDS);
  });
  const abort = () => {
    request.cancelled = true;
    request.abort();
  };
  return { ended, abort };
}

function body(item) {
  const form = new FormData();
  for (const [name, value] of Object.entries(item.fields)) if (value) form.append(name, value);
  form.append("file", item.file, item.name);
  return form;
}

function lost() {
  return { kind: "wait", seconds: null, why: navigator.onLine ? "The connection was lost." : "There is no connection." };
}

function outcome(request) {
  const answer = parsed(request.responseText);
  if (request.status === 200 && answer.slug) return { kind: "stored", image: answer };
  if (request.status === 401) return { kind: "refused", why: "You are signed out. Sign in in another tab, then try again.", again: true };
  const why = answer.error ? `${answer.error}.` : "The server could not answer.";
  if (PATIENT.has(answer.code) || (request.status >= 500 && !answer.code)) {
    return { kind: "wait", seconds: seconds(request.getResponseHeader("Retry-After")), why: sentence(answer.code, why) };
  }
  return { kind: "refused", why, again: false };
}

function sentence(code, why) {
  const known = { overloaded: "The server is busy.", rate_limited: "That was a lot at once.", in_progress: "The server is still at it." };
  return known[code] || why;
}

function seconds(header) {
  const value = Number.parseInt(header, 10);
  return value >= 0 ? value : null;
}

function parsed(text) {
  try {
    return JSON.parse(text) || {};
  } catch {
    return {};
  }
}
