/** How long to wait before the next try. */

const FIRST_MS = 500;
const LONGEST_MS = 8_000;

/**
 * Doubles with each failure; half of it is by chance, so that not every page comes back at the same moment.
 * @param {number} failures in a row, from 1
 * @param {() => number} random 0 to 1
 * @returns {number} milliseconds
 */
export function backoffMs(failures, random = Math.random) {
  const full = Math.min(FIRST_MS * 2 ** (failures - 1), LONGEST_MS);
  return full * (0.5 + random() / 2);
}
