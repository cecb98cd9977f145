/** The rider's console: a place on the map is picked, a ride asked for, and each step of it shown as it comes. */

import { byId, h, say } from "./dom.js";
import { formatClock, formatMetres, formatNumber, formatSpan } from "./format.js";
import { latitudeOf, longitudeOf } from "./geo.js";
import { DRIVER_ON_TRIP } from "./kinds.js";
import { RideSession, STEPS } from "./ride_session.js";

const WIRE_LINES = 40;
/** @type {Record<string, string>} */
const TEXTS = {
  connecting: "Connect",
  looking: "Look for a driver",
  matched: "Matched",
  "en-route": "Driver on the way",
  "at-pickup": "Driver at the pickup",
  "on-trip": "On the trip",
  arrived: "Arrived",
};
/** @type {Record<string, string>} */
const ENDS = {
  "no-driver": "No driver was found",
  refused: "The server refused",
  cancelled: "Cancelled",
  broken: "The connection broke",
};

export class RiderConsole {
  #map;
  #announcer;
  /** @type {RideSession | null} */
  #ride = null;
  /** @type {Map<string, string>} step to what is told of it */
  #notes = new Map();

  /**
   * @param {import("./map_view.js").MapView} map
   * @param {import("./announcer.js").Announcer} announcer
   */
  constructor(map, announcer) {
    this.#map = map;
    this.#announcer = announcer;
    /** Whether the next tap on the map is the pickup. */
    this.asks = false;
    this.panel = byId("rider");
    byId("ask").addEventListener("click", () => (this.asks ? this.close() : this.open()));
    byId("rider-close").addEventListener("click", () => this.close());
    byId("rider-cancel").addEventListener("click", () => this.#ride?.cancel());
    byId("rider-again").addEventListener("click", () => this.open());
    this.panel.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
    const item = (step) => h("li", { "data-step": step }, h("span", {}, TEXTS[step]), h("small"));
    byId("rider-steps").append(...STEPS.map(item));
  }

  /** Let the reader pick the place; a ride that is under way is shown instead. */
  open() {
    this.panel.hidden = false;
    if (this.#ride && !this.#ride.over) return;
    this.#forget();
    this.#pick(true);
    this.#show();
    this.#map.element.focus({ preventScroll: true });
    this.#announcer.say("Pick a place on the map. By keyboard: move it under the crosshair and press Enter");
  }

  /** Call off what is under way, and put everything away. */
  close() {
    if (this.#ride && !this.#ride.over) this.#ride.cancel();
    this.#forget();
    this.#pick(false);
    this.panel.hidden = true;
  }

  /** The place is picked. @param {number} x @param {number} y of the plane */
  ask(x, y) {
    this.#pick(false);
    const ride = new RideSession(latitudeOf(y), longitudeOf(x));
    this.#ride = ride;
    this.#map.marker.rider = { x, y, driver: 0, waits: true, aboard: false };
    ride.addEventListener("step", () => this.#stepped());
    ride.addEventListener("ack", ({ detail }) => this.#note("connecting", `acks after ${formatNumber(detail)} ms`));
    ride.addEventListener("wire", ({ detail }) => addWireLine(detail));
    this.#show();
  }

  /** The feed tells of matches: one may be ours. @param {{rideId: string, driverHandle?: number}[]} matched */
  matchesSeen(matched) {
    const ours = this.#ride && matched.find(({ rideId }) => rideId === this.#ride.rideId);
    if (ours) this.#map.marker.rider.driver = ours.driverHandle ?? 0;
  }

  /** There is news of the city: where is our driver, and what does it do? */
  update() {
    const { city, marker } = this.#map;
    const ride = this.#ride;
    const at = ride && !ride.over && marker.rider ? city.find(marker.rider.driver) : -1;
    if (at < 0) return;
    const kind = city.kinds[at];
    ride.driverSeen(kind);
    marker.rider.aboard = kind === DRIVER_ON_TRIP;
    if (marker.rider.aboard) this.#rideAlong(city.toX[at], city.toY[at]);
    else if (ride.step === "en-route") this.#note("en-route", `${formatMetres(marker.driverDistance(city))} away`);
  }

  #rideAlong(x, y) {
    Object.assign(this.#map.marker.rider, { x, y });
    this.#ride.place = { latitude: latitudeOf(y), longitude: longitudeOf(x) };
  }

  #stepped() {
    const { step, match, detail } = this.#ride;
    const { marker } = this.#map;
    marker.rider.waits = step === "looking";
    if (step === "looking") marker.rider.driver = 0;
    if (step === "matched") this.#noteMatch(match);
    else if (STEPS.includes(step)) this.#note(step, formatClock(Date.now()));
    if (step === "at-pickup") this.#note("en-route", "is there");
    if (this.#ride.over) Object.assign(marker.rider, { driver: 0, aboard: false });
    this.#map.touch();
    const words = step === "matched" ? `Matched with ${match.driverId}` : (ENDS[step] ?? TEXTS[step]);
    this.#announcer.say(detail ? `${words}: ${detail}` : words);
    this.#show();
  }

  #noteMatch({ driverId, vehiclePlate, etaSeconds }) {
    this.#note("matched", [driverId, vehiclePlate].filter(Boolean).join(", "));
    this.#note("en-route", `in ${formatSpan(Number(etaSeconds ?? 0))}`);
  }

  #note(step, text) {
    this.#notes.set(step, text);
    this.#showNote(step);
  }

  #forget() {
    this.#ride = null;
    this.#notes.clear();
    this.#map.marker.rider = null;
    this.#map.touch();
    byId("rider-wire").replaceChildren();
  }

  #pick(asks) {
    this.asks = asks;
    this.#map.element.classList.toggle("picking", asks);
    byId("ask").setAttribute("aria-pressed", String(asks));
  }

  #show() {
    const ride = this.#ride;
    this.panel.dataset.step = ride?.step ?? "picking";
    byId("rider-hint").hidden = ride !== null;
    byId("rider-steps").hidden = byId("rider-details").hidden = ride === null;
    byId("rider-cancel").hidden = !ride || ride.over || ride.step === "connecting";
    byId("rider-again").hidden = !ride?.over;
    say(byId("rider-title"), ride ? `Rider ${ride.userId}` : "Ask for a ride");
    const end = ride && ENDS[ride.step];
    byId("rider-end").hidden = !end;
    say(byId("rider-end"), end ? end + (ride.detail ? `: ${ride.detail}` : ".") : "");
    if (ride) this.#showSteps(ride);
  }

  #showSteps({ step }) {
    const reached = STEPS.indexOf(step);
    for (const item of byId("rider-steps").children) {
      const at = STEPS.indexOf(item.dataset.step);
      if (reached >= 0) item.className = at < reached || step === "arrived" ? "done" : at === reached ? "now" : "";
      item.toggleAttribute("aria-current", at === reached);
      this.#showNote(item.dataset.step);
    }
  }

  #showNote(step) {
    const item = byId("rider-steps").querySelector(`[data-step="${step}"]`);
    say(item.querySelector("small"), this.#notes.get(step) ?? "");
  }
}

function addWireLine({ way, name, body }) {
  const list = byId("rider-wire");
  const text = `${name} ${JSON.stringify(body)}`;
  const arrow = h("span", { class: "way" }, way === "sent" ? "→" : "←");
  list.prepend(h("li", { class: way }, arrow, h("code", {}, text)));
  while (list.children.length > WIRE_LINES) list.lastChild.remove();
}
