// What is done with a whole selection: by batches of a thousand, each image's outcome looked at.

import { call } from "./api.js";
import { walk } from "./view.js";

const BATCH = 1000;

// The images of a selection, in pages: {slug, link}. Of "all", those that were there when it was made.
async function* selected(selection, api, query, signal) {
  if (!selection.all) {
    yield Array.from(selection.slugs, ([slug, { link }]) => ({ slug, link }));
    return;
  }
  for await (const images of walk(api, query, signal)) {
    const chosen = images.filter((image) => image.created_at <= selection.until && !selection.slugs.has(image.slug));
    yield chosen.map((image) => ({ slug: image.slug, link: image.share_url }));
  }
}

export async function linksOf(selection, api, query, signal) {
  const links = [];
  for await (const images of selected(selection, api, query, signal)) links.push(...images.map(({ link }) => link));
  return links;
}

// Deletes or moves; returns the slugs for which that is done (or which were gone), and how many it was not done for.
export async function change(action, folder, selection, api, query, onProgress, signal) {
  const [done, waiting] = [new Set(), []];
  let failed = 0;
  const send = async () => {
    const slugs = waiting.splice(0, BATCH);
    const answer = await call("POST", `${api}/images/bulk`, { action, slugs, ...(action === "move" ? { folder } : {}) }, signal);
    for (const { slug, ok, code } of answer.results) {
      if (ok || code === "not_found") done.add(slug);
      else failed++;
    }
    onProgress?.(done.size + failed);
  };
  for await (const images of selected(selection, api, query, signal)) {
    for (const { slug } of images) {
      waiting.push(slug);
      if (waiting.length === BATCH) await send();
    }
  }
  if (waiting.length) await send();
  return { done, failed };
}
