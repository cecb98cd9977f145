/** The page's root: makes the parts, and ties them together. */

import { Announcer } from "./announcer.js";
import { pathOfHandle } from "./api.js";
import { City } from "./city.js";
import { showConnection } from "./connection.js";
import { byId, say } from "./dom.js";
import { Feed } from "./feed.js";
import { showFigures } from "./figures.js";
import { listenToKeys } from "./keys.js";
import { showLegend } from "./legend.js";
import { MapView } from "./map_view.js";
import { listenToPointers } from "./pointer.js";
import { RiderConsole } from "./rider_console.js";
import { readZones, bytesOf } from "./rows.js";
import { drawScale } from "./scale.js";
import { showSheet } from "./sheet.js";
import { Story } from "./story.js";
import { inSight, Tables } from "./tables.js";
import { followTheme } from "./theme.js";
import { Tiles } from "./tiles.js";
import { showTrips } from "./trips.js";

const ZOOM = 1.6; // of a press of a button
const NOBODY_YET = "Nobody is here yet. Drivers and riders appear as they connect.";
const NOBODY_HERE = "Nobody is in this part of the map.";

const city = new City();
const announcer = new Announcer(byId("announcer"));
const map = new MapView(byId("map"), city);
const feed = new Feed(map.camera, heard);
const story = new Story(map);
const rider = new RiderConsole(map, announcer);
const legend = showLegend(map);
/** Whether the map is to show where everybody is: when somebody is there, when it is known anew, or no more. */
let fits = "first";

/** A CityView has come. */
function heard(view) {
  const now = performance.now();
  city.apply(view, now, (fromX, fromY, toX, toY) => map.trails.add(fromX, fromY, toX, toY));
  if (view.matched) map.matches.add(view.matched, now);
  if (view.snapshot || view.zones) map.ground.zones = readZones(bytesOf(view.zones));
  if (fits === "first" || (fits === "anew" && view.snapshot)) fit();
  byId("nobody").hidden = city.count > 0;
  say(byId("nobody"), fits === "first" ? NOBODY_YET : NOBODY_HERE);
  say(byId("sampled"), view.sampled ? `${city.count} of ${view.total} shown: zoom in for the rest` : "");
  legend.update();
  rider.matchesSeen(view.matched ?? []);
  rider.update();
  story.update();
  map.touch();
}

/** Show where nine of ten are. */
function fit() {
  const box = city.box();
  if (!box) return;
  map[fits === "first" ? "move" : "fly"]((camera) => camera.fit(box));
  fits = "";
}

/** The same, asking first who is out of sight. */
function fitAnew() {
  if (fits === "") fits = "anew";
  feed.askForAll();
}

/** A place of the screen is picked: for a ride, or to see who is there. */
function tapped(screenX, screenY, withinPx) {
  if (rider.asks) {
    const { x, y } = map.camera.pointAt(screenX, screenY);
    rider.ask(x, y);
    return;
  }
  const index = map.entityAt(screenX, screenY, withinPx);
  if (index < 0) story.close();
  else openStory(city.handles[index]);
}

/** Of somebody on the map: the ring around the mark does not wait for the answer. */
function openStory(handle, how) {
  Object.assign(map.marker, { selected: handle, name: "" });
  map.touch();
  story.open(pathOfHandle(handle), how);
}

/** The next who is in sight, or the one before. @param {1 | -1} by */
function step(by) {
  const rows = inSight(map);
  if (!rows.length) return;
  const at = rows.findIndex(([handle]) => Number(handle) === map.marker.selected);
  const [handle, state] = rows[at < 0 ? 0 : (at + by + rows.length) % rows.length];
  announcer.say(`${handle}, ${state}`);
  openStory(Number(handle), { focus: false });
}

function zoom(factor) {
  const { x, y } = map.camera.middle();
  map.fly((camera) => camera.zoomAt(factor, x, y));
}

map.onMove = () => {
  feed.moved();
  drawScale(map.camera);
};
new Tables(map, (path) => story.open(path, { goThere: true }));
const sayFigures = showFigures(feed.link);
showTrips((path) => story.open(path, { goThere: true }));
showConnection(feed.link, announcer, ({ version, tile_url: tileUrl }) => {
  say(byId("version"), version);
  if (tileUrl) map.useTiles(new Tiles(tileUrl));
});
showSheet(map);
followTheme(byId("theme"), () => map.restyle());
listenToPointers(map, tapped);
listenToKeys(map, {
  onTap: tapped,
  onStep: step,
  onFit: fitAnew,
  onLeave: () => (rider.asks ? rider.close() : story.close()),
  onSummary: () => announcer.say(`${legend.sentence()}. ${sayFigures()}`),
});
byId("fit").addEventListener("click", fitAnew);
byId("zoom-in").addEventListener("click", () => zoom(ZOOM));
byId("zoom-out").addEventListener("click", () => zoom(1 / ZOOM));
feed.open();
