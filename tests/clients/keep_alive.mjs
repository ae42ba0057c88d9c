// A client that keeps its one connection: `keep_alive.mjs undici|got URL CALLS BYTES`. It sends so many uploads with a
// wrong key, each followed by a look, and prints how often each status or error came, as one JSON object.
import http from "node:http";
import got from "got";
import { Pool } from "undici";

const [library, url, calls, bytes] = process.argv.slice(2);
const headers = { authorization: "Bearer iu_live_wrong", "content-type": "multipart/form-data; boundary=b" };
const body = Buffer.alloc(Number(bytes), "x");
const pool = new Pool(url, { connections: 1, pipelining: 1 });
const agent = { http: new http.Agent({ keepAlive: true, maxSockets: 1 }) };

const asks = {
  async undici(method, path, options) {
    const answer = await pool.request({ method, path, ...options });
    await answer.body.text();
    return answer.statusCode;
  },
  async got(method, path, options) {
    const settings = { method, agent, retry: { limit: 0 }, throwHttpErrors: false, ...options };
    return (await got(url + path, settings)).statusCode;
  },
};

const outcomes = {};
async function count(...call) {
  let outcome;
  try {
    outcome = await asks[library](...call);
  } catch (error) {
    outcome = error.code ?? error.message;
  }
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
}

for (let call = 0; call < calls; call++) {
  await count("POST", "/api/upload", { headers, body });
  await count("GET", "/healthz", {});
}
console.log(JSON.stringify(outcomes));
process.exit(0);
