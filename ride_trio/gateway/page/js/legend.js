/** Who is on the map, by state: a bar of the drivers' shares, and a row a state to count, show and hide it. */

import { byId, h, icon, say } from "./dom.js";
import { formatNumber } from "./format.js";
import { GROUPS, isDriver } from "./kinds.js";

/**
 * @param {import("./map_view.js").MapView} map
 * @returns {{update: () => void, sentence: () => string}}
 */
export function showLegend(map) {
  const rows = GROUPS.map((group) => newRow(map, group));
  byId("legend").append(...rows.map((row) => row.element));
  byId("shares").append(...rows.filter((row) => row.share).map((row) => row.share));
  const count = ({ kinds }) => kinds.reduce((sum, kind) => sum + map.city.counts[kind], 0);
  const update = () => {
    for (const { group, number, share } of rows) {
      say(number, formatNumber(count(group)));
      if (share) share.style.flexGrow = String(count(group));
    }
  };
  return { update, sentence: () => GROUPS.map((group) => `${group.text} ${count(group)}`).join(", ") };
}

function newRow(map, group) {
  const number = h("span", { class: "number" }, "0");
  const toggle = () => {
    const hide = button.getAttribute("aria-pressed") === "true";
    button.setAttribute("aria-pressed", String(!hide));
    for (const kind of group.kinds) map.hidden[hide ? "add" : "delete"](kind);
    map.touch();
  };
  const button = h(
    "button",
    { type: "button", "aria-pressed": "true", class: `state state-${group.key}`, onclick: toggle },
    icon(`k-${group.key}`, "kind"),
    h("span", { class: "text" }, group.text),
    number,
  );
  button.title = `Show or hide: ${group.text.toLowerCase()}`;
  const share = isDriver(group.kinds[0]) ? h("span", { class: `share state-${group.key}` }) : null;
  return { group, number, share, element: h("li", {}, button) };
}
