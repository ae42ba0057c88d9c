// Sizes, times and other words, as the server's pages have them (formatting.py, tiles.py).

const KB = 1024;
const DAY = 86400;
const REMOVED = {
  gps: "GPS position",
  camera: "camera data",
  exif: "EXIF",
  xmp: "XMP",
  iptc: "IPTC",
  comment: "comments",
  thumbnail: "a preview",
  c2pa: "C2PA",
  text: "texts",
  trailer: "a trailer",
  other: "other data",
};

const numbers = new Intl.NumberFormat("en");

export function numberText(number) {
  return numbers.format(number);
}

export function countText(number, one, many = `${one}s`) {
  return `${numberText(number)} ${number === 1 ? one : many}`;
}

export function sizeText(bytes) {
  if (bytes < KB) return `${Math.round(bytes)} bytes`;
  if (bytes < KB * KB) return `${Math.round(bytes / KB)} KB`;
  if (bytes < KB ** 3) return `${(bytes / KB ** 2).toFixed(1)} MB`;
  return `${(bytes / KB ** 3).toFixed(1)} GB`;
}

export function durationText(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.ceil(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

export function aheadText(at, now) {
  const left = Math.max(0, Math.floor(at - now));
  if (left < 3600) return `in ${Math.max(1, Math.floor(left / 60))} min`;
  return left < 2 * DAY ? `in ${Math.floor(left / 3600)} h` : `in ${Math.floor(left / DAY)} days`;
}

export function dayText(at, now) {
  const [day, today] = [new Date(at * 1000), new Date(now * 1000)];
  const days = Math.floor(now / DAY) - Math.floor(at / DAY);
  if (days === 0 || days === 1) return days ? "yesterday" : "today";
  const text = `${day.getUTCDate()} ${day.toLocaleString("en", { month: "short", timeZone: "UTC" })}`;
  return day.getUTCFullYear() === today.getUTCFullYear() ? text : `${text} ${day.getUTCFullYear()}`;
}

// What was in a picture and is no longer, or "".
export function removedText(removed) {
  const kinds = (removed?.kinds || []).map((kind) => REMOVED[kind] || kind);
  return kinds.length ? `${kinds.join(", ")} removed` : "";
}
