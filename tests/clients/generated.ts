// Uploads, lists and deletes by the types that openapi-typescript has made: arguments are URL, key and picture.
import { readFile } from "node:fs/promises";
import { argv } from "node:process";
import createClient from "openapi-fetch";
import type { paths } from "./made.d.ts";

const [url, key, picture] = argv.slice(2);
const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${key}` } });

function has<T>(value: T | undefined, error: unknown): T {
  if (value === undefined) throw new Error(JSON.stringify(error));
  return value;
}

const file = new File([await readFile(picture)], "photo.jpg", { type: "image/jpeg" });
const upload = await client.POST("/api/upload", {
  body: { file: "", expiration: "1w" },
  bodySerializer(fields) {
    const form = new FormData();
    form.append("file", file);
    form.append("expiration", fields?.expiration ?? "");
    return form;
  },
});
const stored = has(upload.data, upload.error);
if (typeof stored === "string") throw new Error("text/plain was not asked for");
if (stored.quota.used !== 1 || stored.filename !== "photo.jpg") throw new Error(JSON.stringify(stored));
const list = await client.GET("/api/images", { params: { query: { limit: 10 } } });
const slugs: string[] = has(list.data, list.error).images.map((image) => image.slug);
if (slugs.join() !== stored.slug) throw new Error(slugs.join());
const path = { slug: stored.slug };
const gone = await client.DELETE("/api/images/{slug}", { params: { path } });
if (has(gone.data, gone.error).slug !== stored.slug) throw new Error("another one is gone");
const again = await client.DELETE("/api/images/{slug}", { params: { path } });
if (again.error?.code !== "not_found") throw new Error(JSON.stringify(again));
console.log("done");
