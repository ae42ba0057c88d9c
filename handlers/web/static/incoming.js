// Files that are dropped or pasted; folders are walked.

const MOST = 10000;

export async function dropped(transfer) {
  const entries = Array.from(transfer.items || [], (item) => item.webkitGetAsEntry?.());
  if (!entries.some((entry) => entry?.isDirectory)) return Array.from(transfer.files);
  const files = [];
  for (const entry of entries) if (entry) await walk(entry, files);
  return files;
}

async function walk(entry, files) {
  if (files.length >= MOST) return;
  if (entry.isFile) {
    files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    return;
  }
  const reader = entry.createReader();
  for (let batch; (batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject))).length; ) {
    for (const inner of batch) await walk(inner, files);
  }
}

// Pasted pictures are all called alike: they get the time for a name.
export function pasted(transfer, now = new Date()) {
  const stamp = new Date(now - now.getTimezoneOffset() * 60000).toISOString().slice(0, 19).replace("T", " ").replaceAll(":", ".");
  return Array.from(transfer.files, (file) => {
    const generic = /^image\.(\w+)$/.exec(file.name);
    return generic ? new File([file], `Pasted ${stamp}.${generic[1]}`, { type: file.type }) : file;
  });
}
