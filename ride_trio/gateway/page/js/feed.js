/** The observer's feed: asks for what the map shows, while somebody sees it, and hands on what comes. */

import { Link, socketUrl } from "./link.js";

const RATE_HZ = 4;
// Asking anew costs the server a snapshot.
const ASK_EVERY_MS = 300;
// Asked for beyond the map's edge, as a share of its width: so much can be panned before anything is missing.
const MARGIN = 0.25;
const WORLD = { south: -90, west: -180, north: 90, east: 180 };

/** @typedef {{south: number, west: number, north: number, east: number}} View degrees */

export class Feed {
  /** @type {View} what was asked for last */
  #view = WORLD;
  #timer = 0;
  #camera;

  /**
   * @param {import("./camera.js").Camera} camera
   * @param {(view: object) => void} onView hears each CityView
   */
  constructor(camera, onView) {
    this.#camera = camera;
    this.link = new Link(socketUrl());
    this.link.addEventListener("state", () => this.link.state.name === "live" && this.#ask());
    document.addEventListener("visibilitychange", () => this.#ask());
    this.link.addEventListener("message", ({ detail }) => detail.cityView && onView(detail.cityView));
  }

  /** Begin, with the whole world: nobody knows yet where the city is. */
  open() {
    this.link.open();
  }

  /** Ask for the whole world again. */
  askForAll() {
    clearTimeout(this.#timer); // the map's last move is not to narrow it again before the answer is here
    this.#timer = 0;
    this.#view = WORLD;
    this.#ask();
  }

  /** The map has been moved: ask for another view if it shows what was not asked for, or far less. */
  moved() {
    if (this.#timer || !this.#isStale()) return;
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      if (!this.#isStale()) return;
      this.#view = this.#camera.bounds(MARGIN);
      this.#ask();
    }, ASK_EVERY_MS);
  }

  #ask() {
    this.link.send({ observe: { view: this.#view, maxRateHz: document.hidden ? 0 : RATE_HZ } });
  }

  #isStale() {
    const shown = this.#camera.bounds();
    const asked = this.#view;
    const within =
      shown.south >= asked.south && shown.north <= asked.north && shown.west >= asked.west && shown.east <= asked.east;
    return !within || (asked.east - asked.west) / (shown.east - shown.west) > 2 + 4 * MARGIN;
  }
}
