// Calls of the API by the pages' own scripts. What the server is too busy for is asked again when it says so.

const PATIENT = new Set(["rate_limited", "overloaded"]);
const TRIES = 20;

export class Refused extends Error {
  constructor(status, answer) {
    super(answer.error ? `${answer.error}.` : "The server could not be reached.");
    this.status = status;
    this.code = answer.code;
  }
}

// The answer; `now` is the server's time in seconds. Raises Refused, and AbortError where `signal` says so.
export async function call(method, url, body, signal) {
  for (let tries = 1; ; tries++) {
    const response = await fetch(url, {
      method,
      signal,
      headers: { Accept: "application/json", ...(body ? { "Content-Type": "application/json" } : {}) },
      body: body && JSON.stringify(body),
    }).catch((error) => {
      if (error.name === "AbortError") throw error;
      throw new Refused(0, {});
    });
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return { ...answer, now: Date.parse(response.headers.get("Date")) / 1000 };
    if (response.status === 401) location.reload(); // which leads to the sign-in form, and back
    if (!PATIENT.has(answer.code) || tries === TRIES) throw new Refused(response.status, answer);
    await pause(Number(response.headers.get("Retry-After")) || 2, signal);
  }
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
