/** What can be on the map: the numbers that the feed uses for it, and how it is called. */

export const RIDER_IDLE = 0;
export const RIDER_LOOKING = 1;
export const RIDER_MATCHED = 2;
export const DRIVER_AVAILABLE = 3;
export const DRIVER_EN_ROUTE = 4;
export const DRIVER_AT_PICKUP = 5;
export const DRIVER_ON_TRIP = 6;
export const DRIVER_OFFLINE = 7;

/**
 * By number. `key` names the colour (--available) and the icon; `text` is for people.
 * @type {{key: string, text: string}[]}
 */
export const KINDS = [
  { key: "idle", text: "rider, not looking" },
  { key: "looking", text: "rider, waiting" },
  { key: "matched", text: "rider, matched" },
  { key: "available", text: "driver, available" },
  { key: "en-route", text: "driver, on the way to a rider" },
  { key: "at-pickup", text: "driver, at the pickup" },
  { key: "on-trip", text: "driver, on a trip" },
  { key: "offline", text: "driver, offline" },
];

/** Rows of the legend: what is counted and shown together, most numerous first. */
export const GROUPS = [
  { key: "available", text: "Available", kinds: [DRIVER_AVAILABLE] },
  { key: "en-route", text: "To pickup", kinds: [DRIVER_EN_ROUTE] },
  { key: "at-pickup", text: "At pickup", kinds: [DRIVER_AT_PICKUP] },
  { key: "on-trip", text: "On trip", kinds: [DRIVER_ON_TRIP] },
  { key: "offline", text: "Off duty", kinds: [DRIVER_OFFLINE] },
  { key: "looking", text: "Waiting riders", kinds: [RIDER_LOOKING] },
  { key: "idle", text: "Other riders", kinds: [RIDER_IDLE, RIDER_MATCHED] },
];

/** @param {number} kind */
export const isDriver = (kind) => kind >= DRIVER_AVAILABLE;
