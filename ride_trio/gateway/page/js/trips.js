/** The newest trips, as a list to pick from. */

import { pathOfUser, poll } from "./api.js";
import { byId, h, icon, say } from "./dom.js";
import { formatSpan, formatStatus } from "./format.js";

const EVERY_MS = 2_000;
const SHOWN = 40;
/** @type {Record<string, string>} a trip's status to the icon of the legend */
const ICONS = {
  LOOKING: "looking",
  MATCHED: "en-route",
  EN_ROUTE_TO_PICKUP: "en-route",
  AT_PICKUP: "at-pickup",
  ON_TRIP: "on-trip",
};

/** @param {(path: string) => void} onPick hears whose story is wanted */
export function showTrips(onPick) {
  const list = byId("trips");
  const none = byId("no-trips");
  poll(`trips?limit=${SHOWN}`, EVERY_MS, (trips) => {
    none.hidden = trips.length > 0;
    while (list.children.length > trips.length) list.lastChild.remove();
    while (list.children.length < trips.length) list.append(newRow(onPick));
    trips.forEach((trip, at) => fill(list.children[at], trip));
  });
}

/** A row is kept and filled anew: whoever is about to press it, or is reading it, doesn't lose it. */
function newRow(onPick) {
  const row = h(
    "button",
    { type: "button", class: "trip", onclick: () => onPick(pathOfUser(row.dataset.user)) },
    h("span", { class: "kind-holder" }),
    h("span", { class: "who" }),
    h("span", { class: "what" }),
    h("span", { class: "age" }),
  );
  return h("li", {}, row);
}

function fill({ firstChild: row }, trip) {
  const [holder, who, what, age] = row.children;
  const name = ICONS[trip.status.replace(/^STATUS_/, "")] ?? "offline";
  if (holder.dataset.icon !== name) {
    holder.dataset.icon = name;
    holder.replaceChildren(icon(`k-${name}`, `kind state-${name}`));
  }
  row.dataset.user = trip.driver_id || trip.rider_id;
  say(who, trip.driver_id ? `${trip.driver_id} → ${trip.rider_id}` : trip.rider_id);
  say(what, formatStatus(trip.status));
  say(age, formatSpan((Date.now() - trip.since_unix_millis) / 1000));
}
