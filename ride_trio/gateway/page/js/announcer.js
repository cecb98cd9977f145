/** What a screen reader says: little, and not too often. */

const PAUSE_MS = 3_000;

export class Announcer {
  #element;
  #timer = 0;
  /** @type {string[]} */
  #waiting = [];

  /** @param {HTMLElement} element a live region */
  constructor(element) {
    this.#element = element;
  }

  /** Say something; what is said in quick succession is said together, after a pause. @param {string} text */
  say(text) {
    this.#waiting.push(text);
    if (!this.#timer) this.#flush();
  }

  #flush() {
    this.#timer = 0;
    if (!this.#waiting.length) return;
    this.#element.textContent = this.#waiting.splice(0).join(". ");
    this.#timer = setTimeout(() => this.#flush(), PAUSE_MS);
  }
}
