/** The story of one user: what is known of it, its ride, and what has happened to it. */

import { get, pathOfUser, poll } from "./api.js";
import { byId, h, say } from "./dom.js";
import { formatClock, formatSpan, formatStatus } from "./format.js";
import { formatPlace, projectX, projectY, windOf, zoneName } from "./geo.js";

const EVERY_MS = 1_500;

export class Story {
  #map;
  /** @type {string | null} of the API, what is asked for */
  #path = null;
  #follows = false;
  #ask;

  /** @param {import("./map_view.js").MapView} map */
  constructor(map) {
    this.#map = map;
    this.panel = byId("story");
    byId("story-close").addEventListener("click", () => this.close());
    byId("story-follow").addEventListener("click", () => this.#follow(!this.#follows));
    this.panel.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
    this.#ask = poll(() => this.#path, EVERY_MS, (user, path) => path === this.#path && this.#show(user));
  }

  /**
   * Open the story of a user.
   * @param {string} path of the API, see api.js
   * @param {{goThere?: boolean, focus?: boolean}} [how] whether to move the map there, and the focus to the story
   */
  async open(path, { goThere = false, focus = true } = {}) {
    this.#path = path;
    this.#follow(false);
    this.panel.hidden = false;
    say(byId("story-title"), "…");
    say(byId("story-status"), "");
    byId("story-facts").replaceChildren();
    byId("story-events").replaceChildren();
    if (focus) byId("story-title").focus();
    this.#ask();
    if (goThere) this.#goTo(await get(path).catch(() => null));
  }

  close() {
    if (this.panel.hidden) return;
    const hadFocus = this.panel.contains(document.activeElement);
    this.panel.hidden = true;
    this.#path = null;
    this.#follow(false);
    this.#map.marker.selected = 0;
    this.#map.touch();
    if (hadFocus) this.#map.element.focus({ preventScroll: true });
  }

  /** Keep who is followed in the middle. To be called when there is news of the city. */
  update() {
    const { city, marker } = this.#map;
    const at = this.#follows ? city.find(marker.selected) : -1;
    if (at >= 0) this.#map.fly((camera) => camera.centreOn(city.toX[at], city.toY[at]));
  }

  #follow(follows) {
    this.#follows = follows;
    byId("story-follow").setAttribute("aria-pressed", String(follows));
    this.update();
  }

  #goTo(user) {
    if (user?.latitude == null) return;
    this.#map.fly((camera) => {
      camera.scale = Math.max(camera.scale, 2 ** 22);
      camera.centreOn(projectX(user.longitude), projectY(user.latitude));
    });
  }

  #show(user) {
    if (user === null) {
      say(byId("story-status"), "is not here any more");
      return;
    }
    this.#path = pathOfUser(user.user_id); // a handle is another's after a restart of the server
    const { marker } = this.#map;
    marker.selected = user.handle ?? 0;
    marker.name = user.user_id;
    this.#map.touch();
    say(byId("story-title"), user.user_id);
    say(byId("story-status"), `${user.role}, ${formatStatus(user.status) || "said no status"}`);
    fillFacts(byId("story-facts"), factsOf(user));
    fillEvents(byId("story-events"), user.events ?? []);
  }
}

/** @returns {[string, string][]} what is known, as names and values */
function factsOf(user) {
  const { session, ride } = user;
  /** @type {[string, string][]} */
  const facts = [];
  if (user.latitude != null) {
    facts.push(["Zone", zoneName(user.latitude, user.longitude)]);
    facts.push(["Position", formatPlace(user.latitude, user.longitude)]);
    facts.push(["Moving", user.speed_mps > 0.3 ? `${user.speed_mps.toFixed(1)} m/s ${windOf(user.bearing)}` : "no"]);
  }
  if (session) {
    const opened = session.opened_unix_millis;
    facts.push(["Session", `${session.transport}, for ${formatSpan((Date.now() - opened) / 1000)}`]);
  }
  if (ride) {
    facts.push(["Ride", `${ride.ride_id}, ${formatStatus(ride.status)}`]);
    facts.push(user.role === "driver" ? ["Rider", ride.rider_id] : ["Driver", ride.driver_id || "none yet"]);
    if (ride.eta_seconds) facts.push(["Pickup in", `${formatSpan(ride.eta_seconds)}, when matched`]);
  }
  return facts;
}

function fillFacts(list, facts) {
  while (list.children.length > facts.length) list.lastChild.remove();
  while (list.children.length < facts.length) list.append(h("div", {}, h("dt"), h("dd")));
  facts.forEach(([name, value], at) => {
    say(list.children[at].children[0], name);
    say(list.children[at].children[1], value);
  });
}

function fillEvents(list, events) {
  const row = ({ at_unix_millis: at, text }) => h("li", {}, h("time", {}, formatClock(at)), h("span", {}, text));
  const key = events.map(({ at_unix_millis: at, text }) => `${at} ${text}`).join("\n");
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...events.map(row));
}
