/** Numbers and times for people. */

const DASH = "–";

/** 0.42, 7.3, 84, 1,204, 18.3k; a dash for what is not known. @param {number} value */
export function formatNumber(value) {
  if (!Number.isFinite(value)) return DASH;
  const size = Math.abs(value);
  if (size >= 1e6) return `${(value / 1e6).toFixed(1)}M`;
  if (size >= 1e4) return `${(value / 1e3).toFixed(1)}k`;
  if (size >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString("en");
  return value.toFixed(size >= 10 ? 1 : size >= 1 ? 1 : 2);
}

/** 98 s, 3 min, 2 h 5 min, 4 d 2 h. @param {number} seconds */
export function formatSpan(seconds) {
  if (!Number.isFinite(seconds)) return DASH;
  const s = Math.max(Math.round(seconds), 0);
  if (s < 120) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

/** 340 m, 2.4 km. @param {number} metres */
export const formatMetres = (metres) =>
  metres < 1000 ? `${Math.round(metres / 10) * 10} m` : `${(metres / 1000).toFixed(1)} km`;

/** 14:03:22, by the reader's clock. @param {number} unixMillis */
export const formatClock = (unixMillis) => new Date(unixMillis).toLocaleTimeString("en-GB");

/** "EN_ROUTE_TO_PICKUP" or "STATUS_ON_TRIP" as "en route to pickup". @param {string} name */
export const formatStatus = (name) => (name ?? "").replace(/^STATUS_/, "").replaceAll("_", " ").toLowerCase();
