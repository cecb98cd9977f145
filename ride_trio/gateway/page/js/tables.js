/** The map as tables: for who can't see it, and for who would rather read. Filled anew every two seconds while open. */

import { pathOfHandle, pathOfUser, poll } from "./api.js";
import { byId, h, say } from "./dom.js";
import { formatNumber, formatSpan, formatStatus } from "./format.js";
import { formatPlace, latitudeOf, longitudeOf, windOf, zoneName } from "./geo.js";
import { KINDS } from "./kinds.js";

const EVERY_MS = 2_000;
const ROWS = 100;

const age = (unixMillis) => formatSpan((Date.now() - unixMillis) / 1000);

/**
 * @typedef {object} Table
 * @property {string} text of its tab
 * @property {string} [path] of the API; without one it is what the map shows
 * @property {string[]} columns
 * @property {(row: any) => string[]} cells
 * @property {(row: any) => string} [story] the path of what the first cell opens
 */

/** @type {Record<string, Table>} */
const TABLES = {
  map: {
    text: "On the map",
    columns: ["Number", "State", "Zone", "Position", "Heading", "Speed"],
    cells: (row) => row,
    story: ([handle]) => pathOfHandle(handle),
  },
  trips: {
    text: "Trips",
    path: `trips?limit=${ROWS}`,
    columns: ["Ride", "Rider", "Driver", "State", "Since", "Pickup in"],
    cells: (trip) => [
      trip.ride_id,
      trip.rider_id,
      trip.driver_id || "–",
      formatStatus(trip.status),
      age(trip.since_unix_millis),
      trip.eta_seconds ? formatSpan(trip.eta_seconds) : "–",
    ],
    story: (trip) => pathOfUser(trip.rider_id),
  },
  sessions: {
    text: "Sessions",
    path: `sessions?limit=${ROWS}`,
    columns: ["User", "Role", "Transport", "Zone", "For"],
    cells: (session) => [
      session.user_id,
      session.role || "–",
      session.transport,
      session.zone || "–",
      age(session.opened_unix_millis),
    ],
    story: (session) => pathOfUser(session.user_id),
  },
  zones: {
    text: "Zones",
    path: "zones",
    columns: ["Zone", "Sessions", "Messages"],
    cells: (zone) => [zone.zone, formatNumber(zone.sessions), formatNumber(zone.messages)],
  },
  topics: {
    text: "Log topics",
    path: "topics",
    columns: ["Topic", "Partitions", "Records", "Bytes", "First offset", "Next offset"],
    cells: (topic) => [
      topic.name,
      String(topic.partitions),
      formatNumber(topic.records),
      formatNumber(topic.bytes),
      String(topic.begin),
      String(topic.end),
    ],
  },
};

export class Tables {
  #map;
  #onPick;
  #shown = "map";
  #ask;

  /**
   * @param {import("./map_view.js").MapView} map
   * @param {(path: string) => void} onPick hears whose story is wanted
   */
  constructor(map, onPick) {
    this.#map = map;
    this.#onPick = onPick;
    this.panel = byId("tables");
    byId("tables-toggle").addEventListener("click", () => this.toggle());
    byId("tables-close").addEventListener("click", () => this.toggle());
    this.panel.addEventListener("keydown", (event) => event.key === "Escape" && this.toggle());
    byId("tables-tabs").append(...Object.keys(TABLES).map((key) => this.#newTab(key)));
    const path = () => (this.panel.hidden ? null : (TABLES[this.#shown].path ?? null));
    this.#ask = poll(path, EVERY_MS, (rows, asked) => asked === path() && this.#fill(rows));
    setInterval(() => this.#fillFromMap(), EVERY_MS);
  }

  toggle() {
    this.panel.hidden = !this.panel.hidden;
    byId("tables-toggle").setAttribute("aria-expanded", String(!this.panel.hidden));
    if (this.panel.hidden) byId("tables-toggle").focus();
    else this.#choose(this.#shown);
  }

  #newTab(key) {
    const choose = () => this.#choose(key);
    const role = { role: "tab", id: `tab-${key}`, "aria-controls": "tables-panel" };
    const tab = h("button", { type: "button", ...role, onclick: choose }, TABLES[key].text);
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) this.#chooseBeside(key, step);
    });
    return tab;
  }

  #chooseBeside(key, step) {
    const keys = Object.keys(TABLES);
    this.#choose(keys[(keys.indexOf(key) + step + keys.length) % keys.length]);
  }

  #choose(key) {
    this.#shown = key;
    for (const tab of byId("tables-tabs").children) {
      const chosen = tab.id === `tab-${key}`;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      if (chosen) tab.focus();
    }
    byId("tables-panel").setAttribute("aria-labelledby", `tab-${key}`);
    byId("tables-head").replaceChildren(...TABLES[key].columns.map((text) => h("th", { scope: "col" }, text)));
    byId("tables-body").replaceChildren();
    this.#ask();
    this.#fillFromMap();
  }

  #fillFromMap() {
    if (!this.panel.hidden && this.#shown === "map") this.#fill(inSight(this.#map));
  }

  /** Rows and cells are kept and filled anew, so that focus and a reader's place in the table stay. */
  #fill(rows) {
    const { cells, story } = TABLES[this.#shown];
    const body = byId("tables-body");
    const shown = rows.slice(0, ROWS);
    while (body.children.length > shown.length) body.lastChild.remove();
    while (body.children.length < shown.length) body.append(this.#newRow());
    shown.forEach((row, at) => fillRow(body.children[at], cells(row), story?.(row)));
    byId("tables-none").hidden = rows.length > 0;
    const which = this.#shown === "map" ? ", the nearest to the middle first" : "";
    say(byId("tables-count"), rows.length > ROWS ? `${ROWS} of ${rows.length}${which}` : "");
  }

  #newRow() {
    const cells = TABLES[this.#shown].columns.slice(1).map(() => h("td"));
    const open = h("button", { type: "button", onclick: () => this.#onPick(open.dataset.story) });
    return h("tr", {}, h("th", { scope: "row" }, TABLES[this.#shown].story ? open : ""), ...cells);
  }
}

function fillRow(row, texts, story) {
  const button = row.firstChild.querySelector("button");
  if (button) button.dataset.story = story ?? "";
  say(button ?? row.firstChild, texts[0]);
  texts.slice(1).forEach((text, at) => say(row.children[at + 1], text));
}

/** Who the map shows, the nearest to its middle first. */
export function inSight({ camera, city, hidden }) {
  const middle = camera.middle();
  const { x, y } = camera.pointAt(middle.x, middle.y);
  const seen = [];
  for (let i = 0; i < city.count; i++) {
    const [screenX, screenY] = [camera.screenX(city.x[i]), camera.screenY(city.y[i])];
    const inside = screenX >= 0 && screenY >= 0 && screenX <= camera.width && screenY <= camera.height;
    if (inside && !hidden.has(city.kinds[i])) seen.push([i, (city.x[i] - x) ** 2 + (city.y[i] - y) ** 2]);
  }
  seen.sort(([, a], [, b]) => a - b);
  return seen.map(([i]) => rowOf(city, i));
}

function rowOf(city, i) {
  const [latitude, longitude] = [latitudeOf(city.toY[i]), longitudeOf(city.toX[i])];
  return [
    String(city.handles[i]),
    KINDS[city.kinds[i]].text,
    zoneName(latitude, longitude),
    formatPlace(latitude, longitude),
    city.speeds[i] ? windOf(city.headings[i]) : "–",
    `${city.speeds[i]} m/s`,
  ];
}

