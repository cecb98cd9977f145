/** From the server's running totals, asked for each second, to what happens a second; and the last minutes of it. */

// Three minutes, a sample a second.
const KEPT = 180;

/** The last values of one figure, oldest first. */
export class History {
  /** @type {number[]} NaN where nothing was known */
  values = [];

  /** @param {number} value */
  push(value) {
    this.values.push(value);
    if (this.values.length > KEPT) this.values.shift();
  }

  get last() {
    return this.values.at(-1) ?? Number.NaN;
  }
}

/** The rate of a total that only grows, as long as the server lives. */
export class Rate {
  #total = Number.NaN;
  #atMs = Number.NaN;

  /**
   * @param {number} total
   * @param {number} atMs by the server's clock
   * @returns {number} a second since the last call; NaN at the first, and after a restart of the server
   */
  next(total, atMs) {
    const rate = (total - this.#total) / ((atMs - this.#atMs) / 1000);
    this.#total = total;
    this.#atMs = atMs;
    return rate >= 0 && Number.isFinite(rate) ? rate : Number.NaN;
  }
}

/** The mean of a window's last samples, leaving out what was not known; NaN if nothing was. */
export function mean(values, samples) {
  const known = values.slice(-samples).filter((value) => !Number.isNaN(value));
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : Number.NaN;
}

/** The stretches of known values, as first and last index. */
export function runsOf(values) {
  const runs = [];
  values.forEach((value, index) => {
    if (Number.isNaN(value)) return;
    if (runs.at(-1)?.[1] === index - 1) runs.at(-1)[1] = index;
    else runs.push([index, index]);
  });
  return runs;
}
