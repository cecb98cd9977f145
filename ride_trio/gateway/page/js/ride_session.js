/**
 * A rider on a WebSocket of its own: it says hello, where it is and that it looks for a ride, and hears what becomes of
 * it. What the driver does is seen on the map, as the rider of the street sees it.
 *
 *   connecting ─> looking ─> matched ─> en route ─> at pickup ─> on trip ─> arrived
 *                    │ ^        └───────────┘ the driver is lost: looking again
 *                    └─> no driver, refused, cancelled, broken
 */

import { DRIVER_AT_PICKUP, DRIVER_AVAILABLE, DRIVER_EN_ROUTE, DRIVER_ON_TRIP } from "./kinds.js";
import { socketUrl } from "./link.js";

const DEFAULT_HEARTBEAT_MS = 5_000;
const NORMAL_CLOSURE = 1000;

/** The steps of a ride that goes well, in order. */
export const STEPS = ["connecting", "looking", "matched", "en-route", "at-pickup", "on-trip", "arrived"];

/** What follows a step, seen from what the driver is shown as. @type {Record<number, string>} */
const BY_DRIVER = {
  [DRIVER_EN_ROUTE]: "en-route",
  [DRIVER_AT_PICKUP]: "at-pickup",
  [DRIVER_ON_TRIP]: "on-trip",
  [DRIVER_AVAILABLE]: "arrived",
};

/**
 * The step that follows from what the driver is doing, or the same: a ride only goes forward.
 * @param {string} step @param {number} kind of kinds.js
 */
export function stepAfter(step, kind) {
  const next = BY_DRIVER[kind];
  if (next === "arrived") return step === "on-trip" ? next : step;
  return STEPS.indexOf(next) > STEPS.indexOf(step) ? next : step;
}

export class RideSession extends EventTarget {
  #socket;
  #sequence = 0;
  #beat = 0;
  /** @type {Map<string, {what: string, at: number}>} by correlation id, what no Ack has answered yet */
  #unanswered = new Map();

  /** @param {number} latitude @param {number} longitude degrees, where the rider stands */
  constructor(latitude, longitude) {
    super();
    const id = crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
    this.userId = `web-${id}`;
    this.rideId = `ride-${this.userId}`;
    this.place = { latitude, longitude };
    this.step = "connecting";
    /** @type {object | null} the MatchEvent */
    this.match = null;
    this.detail = "";
    this.#socket = new WebSocket(socketUrl(`?user_id=${this.userId}`), "ride.v1.json");
    this.#socket.onopen = () => this.#begin();
    this.#socket.onmessage = ({ data }) => this.#hear(JSON.parse(data));
    this.#socket.onclose = ({ code, reason }) => this.#closed(code, reason);
  }

  /** Whether nothing more will happen. */
  get over() {
    return ["arrived", "no-driver", "refused", "cancelled", "broken"].includes(this.step);
  }

  /** Call the ride off. */
  cancel() {
    this.#sendStatus("STATUS_CANCELLED");
    this.#become("cancelled");
  }

  /** The driver is shown as this kind. @param {number} kind of kinds.js */
  driverSeen(kind) {
    const next = this.match ? stepAfter(this.step, kind) : this.step;
    if (next !== this.step) this.#become(next);
  }

  #begin() {
    this.#send("hello", { role: "ROLE_RIDER" }, false);
    this.report();
    this.#sendStatus("STATUS_LOOKING");
    this.#become("looking");
    this.#beatEvery(DEFAULT_HEARTBEAT_MS);
  }

  /** Say where the rider is: a sign of life as well. */
  report() {
    const now = String(Date.now());
    this.#send("locationUpdate", { ...this.place, sequence: String(++this.#sequence), sentAtUnixMillis: now });
  }

  #sendStatus(status) {
    this.#send("rideStatusUpdate", { rideId: this.rideId, status, sentAtUnixMillis: String(Date.now()) });
  }

  #send(name, body, acked = true) {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    const messageId = `${name}-${++this.#sequence}`;
    if (acked) this.#unanswered.set(messageId, { what: body.status ?? name, at: performance.now() });
    this.#socket.send(JSON.stringify({ messageId, [name]: body }));
    this.#log("sent", name, body);
  }

  #hear(envelope) {
    const [name] = Object.keys(envelope).filter((key) => key !== "correlationId" && key !== "lamportTime");
    const body = envelope[name];
    if (name !== "broadcastEvent") this.#log("received", name, body);
    if (name === "ack") this.#acked(body);
    if (name === "welcome") this.#beatEvery(Number(body.heartbeatIntervalMs) || DEFAULT_HEARTBEAT_MS);
    if (name === "matchEvent") this.#matched(body);
    if (name === "error" || name === "disconnect") this.detail = `${body.code}: ${body.message ?? "disconnected"}`;
  }

  #acked({ correlationId, success, detail }) {
    const first = this.#unanswered.get(correlationId);
    this.#unanswered.delete(correlationId);
    if (first) this.dispatchEvent(new CustomEvent("ack", { detail: performance.now() - first.at }));
    if (!success) this.#refused(detail ?? "", first);
    else if (!first && this.match) this.#lookAgain(); // a second answer to LOOKING: the driver is lost
  }

  #refused(detail, first) {
    if (this.over || (first && first.what !== "STATUS_LOOKING")) return;
    this.detail = detail;
    this.#become(detail.startsWith("NO_DRIVER_FOUND") ? "no-driver" : "refused");
  }

  #matched(match) {
    if (this.over) return;
    this.match = match;
    this.#become("matched");
  }

  #lookAgain() {
    this.match = null;
    this.#become("looking");
  }

  #closed(code, reason) {
    clearInterval(this.#beat);
    if (this.over) return;
    this.detail = this.detail || reason || `closed with code ${code}`;
    this.#become("broken");
  }

  #beatEvery(everyMs) {
    clearInterval(this.#beat);
    this.#beat = setInterval(() => this.report(), everyMs);
  }

  #become(step) {
    this.step = step;
    if (this.over) this.#socket.close(NORMAL_CLOSURE);
    this.dispatchEvent(new Event("step"));
  }

  #log(way, name, body) {
    this.dispatchEvent(new CustomEvent("wire", { detail: { way, name, body } }));
  }
}
