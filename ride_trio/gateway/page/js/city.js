/**
 * Who is on the map, and where between two views of the feed.
 *
 * Each entity glides from where it is shown to where it was last reported, in about the time that lies between its
 * reports: it moves evenly, and is shown one report late. Columns of numbers instead of objects: 5,000 of them are
 * looked at in every frame.
 */

import { projectX, projectY } from "./geo.js";
import { isDriver, KINDS } from "./kinds.js";
import { bytesOf, readChanged, readRemoved } from "./rows.js";

// More than the server sends at most.
const CAPACITY = 16_384;
// Milliseconds of a glide: no shorter than views come, not so long that a driver who has stopped still seems to move.
const MIN_GLIDE_MS = 200;
const MAX_GLIDE_MS = 3_000;
const FIRST_GLIDE_MS = 500;
// Planes' units, some 2 km in a city: a leap, not a drive.
const LEAP = 1e-4;

/** What is to be moved when somebody else has gone. */
const COLUMNS = [
  ...["handles", "kinds", "headings", "speeds", "heard"],
  ...["fromX", "fromY", "toX", "toY", "since", "until", "x", "y"],
];

export class City {
  /** @type {Map<number, number>} handle to index */
  #index = new Map();

  constructor() {
    this.count = 0;
    this.handles = new Uint32Array(CAPACITY);
    this.kinds = new Uint8Array(CAPACITY);
    this.headings = new Float32Array(CAPACITY); // degrees clockwise from north
    this.speeds = new Uint8Array(CAPACITY); // metres a second
    this.fromX = new Float64Array(CAPACITY);
    this.fromY = new Float64Array(CAPACITY);
    this.toX = new Float64Array(CAPACITY); // as reported
    this.toY = new Float64Array(CAPACITY);
    this.since = new Float64Array(CAPACITY); // of the glide, milliseconds
    this.until = new Float64Array(CAPACITY);
    this.heard = new Float64Array(CAPACITY); // when it last changed
    this.x = new Float64Array(CAPACITY); // as shown by the last `glide`
    this.y = new Float64Array(CAPACITY);
    /** Whether everything is shown where it was last reported, without gliding there. */
    this.still = false;
    /** When everything will have arrived, milliseconds. */
    this.restsAt = 0;
    /** How many of each kind are here, by number of kinds.js. */
    this.counts = new Uint32Array(KINDS.length);
  }

  /**
   * Take in what a CityView says.
   * @param {{snapshot?: boolean, changed?: string, removed?: string}} view in protobuf's JSON mapping
   * @param {number} now milliseconds
   * @param {(fromX: number, fromY: number, toX: number, toY: number) => void} onDrive hears of each driver's move
   */
  apply(view, now, onDrive) {
    this.glide(now);
    const named = view.snapshot ? new Set() : null;
    readRemoved(bytesOf(view.removed), (handle) => this.#remove(handle));
    readChanged(bytesOf(view.changed), (handle, latitude, longitude, kind, heading, speed) => {
      if (kind >= KINDS.length) return; // of a later server
      named?.add(handle);
      const at = this.#index.get(handle) ?? this.#add(handle, now);
      if (at < 0) return;
      this.#report(at, now, projectX(longitude), projectY(latitude), onDrive, isDriver(kind));
      this.#become(at, kind);
      this.headings[at] = heading;
      this.speeds[at] = speed;
    });
    if (named) this.#keepOnly(named);
  }

  /** Put everything where it is to be shown at `now`. @param {number} now milliseconds */
  glide(now) {
    const { count, fromX, fromY, toX, toY, since, until, x, y } = this;
    for (let i = 0; i < count; i++) {
      const done = now >= until[i] ? 1 : (now - since[i]) / (until[i] - since[i]);
      x[i] = fromX[i] + (toX[i] - fromX[i]) * done;
      y[i] = fromY[i] + (toY[i] - fromY[i]) * done;
    }
  }

  /** The index of a handle, or -1. @param {number} handle */
  find(handle) {
    return this.#index.get(handle) ?? -1;
  }

  /**
   * The index of what is shown nearest to a point of the plane, or -1.
   * @param {(index: number) => boolean} wanted
   */
  nearest(x, y, within, wanted = () => true) {
    let best = -1;
    let least = within * within;
    for (let i = 0; i < this.count; i++) {
      const squared = (this.x[i] - x) ** 2 + (this.y[i] - y) ** 2;
      if (squared <= least && wanted(i)) [best, least] = [i, squared];
    }
    return best;
  }

  /** The box that holds nine tenths of everybody each way, or null when nobody is here. */
  box() {
    if (this.count === 0) return null;
    const [west, east] = middle(this.toX.subarray(0, this.count));
    const [north, south] = middle(this.toY.subarray(0, this.count));
    return { north, south, west, east };
  }

  #add(handle, now) {
    if (this.count === CAPACITY) return -1;
    const at = this.count++;
    this.#index.set(handle, at);
    this.handles[at] = handle;
    this.kinds[at] = 0;
    this.counts[0]++;
    this.heard[at] = Number.NaN; // never
    this.until[at] = now;
    return at;
  }

  #report(at, now, x, y, onDrive, drives) {
    const first = Number.isNaN(this.heard[at]);
    const leaps = first || Math.abs(x - this.toX[at]) + Math.abs(y - this.toY[at]) > LEAP;
    if (leaps) {
      this.x[at] = x;
      this.y[at] = y;
    } else if (drives && (x !== this.toX[at] || y !== this.toY[at])) {
      onDrive(this.toX[at], this.toY[at], x, y);
    }
    const pause = first ? FIRST_GLIDE_MS : now - this.heard[at];
    this.fromX[at] = this.x[at];
    this.fromY[at] = this.y[at];
    this.toX[at] = x;
    this.toY[at] = y;
    this.since[at] = now;
    this.until[at] = this.still ? now : now + Math.min(Math.max(pause, MIN_GLIDE_MS), MAX_GLIDE_MS);
    this.restsAt = Math.max(this.restsAt, this.until[at]);
    this.heard[at] = now;
  }

  #become(at, kind) {
    this.counts[this.kinds[at]]--;
    this.counts[kind]++;
    this.kinds[at] = kind;
  }

  #remove(handle) {
    const at = this.#index.get(handle);
    if (at === undefined) return;
    this.counts[this.kinds[at]]--;
    this.#index.delete(handle);
    const last = --this.count;
    if (at === last) return;
    for (const column of COLUMNS) this[column][at] = this[column][last];
    this.#index.set(this.handles[at], at);
  }

  #keepOnly(named) {
    for (const handle of [...this.#index.keys()]) if (!named.has(handle)) this.#remove(handle);
  }
}

/** The 5th and the 95th of a hundred, of numbers in any order. */
function middle(numbers) {
  const sorted = Float64Array.from(numbers).sort();
  const at = (share) => sorted[Math.round((sorted.length - 1) * share)];
  return [at(0.05), at(0.95)];
}
