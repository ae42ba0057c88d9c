// An agent made of the TypeScript SDK: `agent.mjs PACKAGE http|stdio MODE PICTURE [COMMAND…]`, with the environment of
// mcp-stdio. PACKAGE is sdk (1.x) or client (2.x); MODE is legacy or auto. What it saw is printed as one JSON object.
import { readFile } from "node:fs/promises";

const [kind, way, mode, picture, ...command] = process.argv.slice(2);
const { IMAGEUPLOAD_URL: url, IMAGEUPLOAD_API_KEY: key } = process.env;

async function parts() {
  if (kind === "client") {
    const [main, stdio] = [await import("@modelcontextprotocol/client"), await import("@modelcontextprotocol/client/stdio")];
    return { ...main, ...stdio };
  }
  const base = "@modelcontextprotocol/sdk/client";
  const loaded = [`${base}/index.js`, `${base}/stdio.js`, `${base}/streamableHttp.js`].map((name) => import(name));
  return Object.assign({}, ...(await Promise.all(loaded)));
}

const { Client, StdioClientTransport, StreamableHTTPClientTransport } = await parts();
const options = kind === "client" ? { versionNegotiation: { mode } } : {};
const client = new Client({ name: "test", version: "1" }, options);
const transport =
  way === "stdio"
    ? new StdioClientTransport({ command: command[0], args: command.slice(1), env: process.env })
    : new StreamableHTTPClientTransport(new URL(url + "/mcp"), { requestInit: { headers: { Authorization: `Bearer ${key}` } } });
await client.connect(transport);

async function call(name, args) {
  const result = await client.callTool({ name, arguments: args });
  if (result.isError || !result.content[0].text) throw new Error(JSON.stringify(result));
  return { ...result.structuredContent, kinds: result.content.map((block) => block.type) };
}

async function refusal(name, args) {
  try {
    const result = await client.callTool({ name, arguments: args });
    return result.isError ? result.structuredContent.error.reason : "accepted";
  } catch (error) {
    return error.data?.reason ?? String(error);
  }
}

const { tools } = await client.listTools();
const data = (await readFile(picture)).toString("base64");
const photo = { filename: "photo.jpg", mime: "image/jpeg", data_base64: data };
const folder = await call("create_folder", { name: "From agents" });
const image = await call("upload_image", { ...photo, folder: folder.slug, expiration: "1w" });
const known = await call("get_image", { slug: image.slug });
const listed = await call("list_images", { folder: folder.slug });
const folders = await call("list_folders", {});
const quota = await call("get_quota", {});
const ticket = await call("create_upload_ticket", {});
const refused = {
  "bad base64": await refusal("upload_image", { ...photo, data_base64: "%" }),
  "bad field": await refusal("upload_image", { ...photo, expiration: "soon" }),
  "no picture": await refusal("upload_image", { ...photo, data_base64: "AAAA" }),
  "not there": await refusal("get_image", { slug: "aaaaaaaa" }),
  "not used yet": await refusal("get_image", { slug: ticket.ticket }),
};
const offered = tools.some((tool) => "file_path" in tool.inputSchema.properties);
const byPath = offered ? (await call("upload_image", { file_path: picture })).size : null;
const deleted = await call("delete_image", { slug: image.slug });
const version = transport.protocolVersion ?? client.getNegotiatedProtocolVersion?.() ?? null;
console.log(
  JSON.stringify({
    version,
    tools: tools.map((tool) => tool.name),
    slugs: [image.slug, known.slug, listed.images[0].slug, deleted.slug],
    kinds: image.kinds,
    count: folders.folders[0].count,
    used: quota.used,
    by_path: byPath,
    refused,
  }),
);
await client.close();
