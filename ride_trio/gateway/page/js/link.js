/**
 * A WebSocket that stays: it comes back by itself after the server has gone, and says how it stands.
 *
 * A server that vanishes without a word (a cable, a sleeping laptop) is found out by silence: the link sends a
 * heartbeat each few seconds, and every heartbeat is acked.
 */

import { backoffMs } from "./backoff.js";

const HEARTBEAT_MS = 4_000;
const SILENCE_MS = 12_000;
const SUBPROTOCOL = "ride.v1.json";

/**
 * @typedef {object} LinkState
 * @property {"connecting" | "live" | "lost"} name
 * @property {number} [retryMs] until the next try, when lost
 * @property {string} [reason] what the server said, if it said anything
 */

export class Link extends EventTarget {
  /** @type {WebSocket | null} */
  #socket = null;
  #failures = 0;
  #timer = 0;
  #heartbeats = 0;
  #beatAt = 0;
  #heardAt = 0;
  #url;

  /** @param {string} url ws: or wss: */
  constructor(url) {
    super();
    this.#url = url;
    /** @type {LinkState} */
    this.state = { name: "connecting" };
    /** Milliseconds from the newest heartbeat to its ack; NaN if there was none yet. */
    this.ackMs = Number.NaN;
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => document.hidden || this.retry());
    setInterval(() => this.#beat(), HEARTBEAT_MS);
  }

  /** Connect; from now on `state` events tell how it stands and `message` events what the server says. */
  open() {
    this.#become({ name: "connecting" });
    const socket = new WebSocket(this.#url, SUBPROTOCOL);
    this.#socket = socket;
    this.#heardAt = performance.now();
    socket.onopen = () => {
      this.#failures = 0;
      this.#become({ name: "live" });
      this.#beat();
    };
    socket.onmessage = ({ data }) => this.#hear(JSON.parse(data));
    socket.onclose = (event) => {
      if (socket === this.#socket) this.#lose(event.reason);
    };
  }

  /** Try again now, if the link is down and waiting. */
  retry() {
    if (this.state.name !== "lost") return;
    clearTimeout(this.#timer);
    this.open();
  }

  /** @param {object} envelope a ClientEnvelope in protobuf's JSON mapping; thrown away while the link is down */
  send(envelope) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(envelope));
  }

  #hear(envelope) {
    this.#heardAt = performance.now();
    if (envelope.ack?.correlationId === String(this.#heartbeats)) this.ackMs = this.#heardAt - this.#beatAt;
    this.dispatchEvent(new CustomEvent("message", { detail: envelope }));
  }

  #lose(reason) {
    this.#socket = null;
    this.ackMs = Number.NaN;
    const retryMs = backoffMs(++this.#failures);
    this.#timer = setTimeout(() => this.open(), retryMs);
    this.#become({ name: "lost", retryMs, reason });
  }

  #beat() {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    if (performance.now() - this.#heardAt > SILENCE_MS) {
      socket.close(); // its close event may take a minute to come: don't wait for it
      this.#lose("the server has gone silent");
      return;
    }
    this.#beatAt = performance.now();
    this.send({ heartbeat: { seq: String(++this.#heartbeats) } });
  }

  #become(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}

/** The address of the WebSocket beside this page. @param {string} query with its question mark, or empty */
export const socketUrl = (query = "") => `${location.protocol.replace("http", "ws")}//${location.host}/ws${query}`;
