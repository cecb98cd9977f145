/**
 * How fast the map is drawn: each second, the frames and the mean and the longest time that drawing one took are put
 * on the map's element as data-frames, data-frame-ms and data-longest-frame-ms.
 */

const WINDOW_MS = 1_000;

export class Frames {
  #element;
  #since = 0;
  #count = 0;
  #spentMs = 0;
  #longestMs = 0;

  /** @param {HTMLElement} element */
  constructor(element) {
    this.#element = element;
    /** When the last frame was drawn, milliseconds. */
    this.last = 0;
  }

  /** A frame has been drawn. @param {number} now @param {number} spentMs */
  drawn(now, spentMs) {
    this.last = now;
    this.#count++;
    this.#spentMs += spentMs;
    this.#longestMs = Math.max(this.#longestMs, spentMs);
    if (now - this.#since >= WINDOW_MS) this.#publish(now);
  }

  #publish(now) {
    const { dataset } = this.#element;
    dataset.frames = String(Math.round((this.#count * 1000) / (now - this.#since)));
    dataset.frameMs = (this.#spentMs / this.#count).toFixed(2);
    dataset.longestFrameMs = this.#longestMs.toFixed(2);
    this.#since = now;
    this.#count = this.#spentMs = this.#longestMs = 0;
  }
}
