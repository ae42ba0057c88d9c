// What a file is, by its first bytes, as the server decides it.

export const HEAD = 264;

const text = (bytes, start, end) => String.fromCharCode(...bytes.subarray(start, end));

// One sentence on why a file of these first bytes is not accepted, or "" where the server has to decide.
export function refusalOf(bytes) {
  if (isAccepted(bytes)) return "";
  const name = nameOf(bytes);
  return name ? `${name} is not accepted. Save it as JPEG or PNG first.` : "This is no PNG, JPEG, WebP, GIF or AVIF picture.";
}

function isAccepted(bytes) {
  const start = text(bytes, 0, 8);
  if (start.startsWith("\xff\xd8\xff") || start.startsWith("\x89PNG") || start.startsWith("GIF8")) return true;
  if (start.startsWith("RIFF") && text(bytes, 8, 12) === "WEBP") return true;
  return text(bytes, 4, 8) === "ftyp" && /avi[fs]/.test(text(bytes, 8, HEAD));
}

function nameOf(bytes) {
  const start = text(bytes, 0, 16);
  if (text(bytes, 4, 8) === "ftyp") return /hei[cxms]|hev[cxms]|mif1|msf1/.test(text(bytes, 8, 12)) ? "HEIC" : "A video";
  if (start.startsWith("%PDF")) return "PDF";
  if (start.startsWith("II*\0") || start.startsWith("MM\0*")) return "TIFF";
  if (start.startsWith("BM")) return "BMP";
  if (start.startsWith("8BPS")) return "A Photoshop file";
  if (start.startsWith("\x1aE\xdf\xa3")) return "A video";
  if (/^\s*(<\?xml|<svg)/.test(start)) return "SVG";
  return "";
}
