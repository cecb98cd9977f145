// Who is on the map: what the feed's bytes say, and where everybody is between two views.

import assert from "node:assert/strict";
import { test } from "node:test";
import { City } from "./page/city.js";
import { projectX, projectY } from "./page/geo.js";
import { DRIVER_AVAILABLE, DRIVER_ON_TRIP, RIDER_LOOKING } from "./page/kinds.js";
import { bytesOf, readChanged, readZones } from "./page/rows.js";

/** Rows as the server packs them. @param {[number, number, number, number, number?, number?][]} rows */
function changed(...rows) {
  const bytes = Buffer.alloc(rows.length * 16);
  rows.forEach(([handle, latitude, longitude, kind, heading = 0, speed = 0], at) => {
    bytes.writeUInt32LE(handle, at * 16);
    bytes.writeInt32LE(Math.round(latitude * 1e6), at * 16 + 4);
    bytes.writeInt32LE(Math.round(longitude * 1e6), at * 16 + 8);
    bytes.set([kind, heading, speed, 0], at * 16 + 12);
  });
  return bytes.toString("base64");
}

function removed(...handles) {
  const bytes = Buffer.alloc(handles.length * 4);
  handles.forEach((handle, at) => bytes.writeUInt32LE(handle, at * 4));
  return bytes.toString("base64");
}

const nobodyListens = () => {};
const apply = (city, view, now, onDrive = nobodyListens) => city.apply(view, now, onDrive);
const at = (city, handle) => [city.x[city.find(handle)], city.y[city.find(handle)]];
const plane = (latitude, longitude) => [projectX(longitude), projectY(latitude)];
const same = ([x, y], [otherX, otherY]) => assert.ok(Math.abs(x - otherX) + Math.abs(y - otherY) < 1e-12);

test("a row is read as the server wrote it", () => {
  const seen = [];
  readChanged(bytesOf(changed([4_000_000_000, -33.87, -70.5, 6, 64, 13])), (...row) => seen.push(row));
  assert.deepEqual(seen, [[4_000_000_000, -33.87, -70.5, 6, 90, 13]]);
});

test("half a row at the end is not read", () => {
  const whole = bytesOf(changed([1, 0, 0, 3]));
  const seen = [];
  readChanged(new DataView(whole.buffer, 0, 15), (handle) => seen.push(handle));
  assert.deepEqual(seen, []);
});

test("zones are read", () => {
  const bytes = Buffer.alloc(12);
  bytes.writeInt32LE(5209, 0);
  bytes.writeInt32LE(-512, 4);
  bytes.writeUInt16LE(40, 8);
  bytes.writeUInt16LE(900, 10);
  const zones = readZones(bytesOf(bytes.toString("base64")));
  assert.deepEqual(zones, [{ row: 5209, column: -512, sessions: 40, activity: 900 }]);
});

test("an empty field is no rows", () => assert.equal(bytesOf(undefined).byteLength, 0));

test("who appears is where it was reported, and counted by kind", () => {
  const city = new City();
  apply(city, { snapshot: true, changed: changed([7, 52.09, 5.12, DRIVER_AVAILABLE]) }, 1000);
  same(at(city, 7), plane(52.09, 5.12));
  assert.equal(city.counts[DRIVER_AVAILABLE], 1);
});

test("a mover is half way after half the time between its reports", () => {
  const city = new City();
  apply(city, { snapshot: true, changed: changed([7, 52.09, 5.12, DRIVER_AVAILABLE]) }, 1000);
  apply(city, { changed: changed([7, 52.09, 5.122, DRIVER_AVAILABLE]) }, 2000);
  city.glide(2000);
  same(at(city, 7), plane(52.09, 5.12));
  city.glide(2500);
  same(at(city, 7), plane(52.09, 5.121));
  city.glide(9000);
  same(at(city, 7), plane(52.09, 5.122));
  assert.equal(city.restsAt, 3000);
});

test("a new report is gone to from where the mover is shown, without a jump", () => {
  const city = new City();
  apply(city, { snapshot: true, changed: changed([7, 52.09, 5.12, DRIVER_AVAILABLE]) }, 1000);
  apply(city, { changed: changed([7, 52.09, 5.122, DRIVER_AVAILABLE]) }, 2000);
  apply(city, { changed: changed([7, 52.09, 5.124, DRIVER_AVAILABLE]) }, 2500);
  same(at(city, 7), plane(52.09, 5.121));
});

test("who leaps is there at once: it was not a drive", () => {
  const city = new City();
  const drives = [];
  apply(city, { snapshot: true, changed: changed([7, 52.09, 5.12, DRIVER_AVAILABLE]) }, 1000);
  apply(city, { changed: changed([7, 53, 6, DRIVER_AVAILABLE]) }, 2000, (...drive) => drives.push(drive));
  same(at(city, 7), plane(53, 6));
  assert.deepEqual(drives, []);
});

test("without motion everybody is where the newest report says", () => {
  const city = new City();
  city.still = true;
  apply(city, { snapshot: true, changed: changed([7, 52.09, 5.12, DRIVER_AVAILABLE]) }, 1000);
  apply(city, { changed: changed([7, 52.09, 5.122, DRIVER_AVAILABLE]) }, 2000);
  city.glide(2000);
  same(at(city, 7), plane(52.09, 5.122));
});

test("drivers' moves are told, riders' and standing ones' are not", () => {
  const city = new City();
  const drives = [];
  const rows = (by) => [[1, 52, 5 + by, DRIVER_ON_TRIP], [2, 52, 5, DRIVER_AVAILABLE], [3, 52, 5 + by, RIDER_LOOKING]];
  apply(city, { snapshot: true, changed: changed(...rows(0)) }, 1000);
  apply(city, { changed: changed(...rows(0.001)) }, 2000, (...drive) => drives.push(drive));
  assert.deepEqual(drives, [[...plane(52, 5), ...plane(52, 5.001)]]);
});

test("who is removed is gone, and the others stay who they are", () => {
  const city = new City();
  const rows = [[1, 52, 5, DRIVER_AVAILABLE], [2, 52.01, 5, RIDER_LOOKING], [3, 52.02, 5, DRIVER_ON_TRIP, 128, 9]];
  apply(city, { snapshot: true, changed: changed(...rows) }, 1000);
  apply(city, { removed: removed(1, 99) }, 2000);
  assert.equal(city.count, 2);
  assert.equal(city.find(1), -1);
  same(at(city, 3), plane(52.02, 5));
  assert.equal(city.kinds[city.find(3)], DRIVER_ON_TRIP);
  assert.equal(city.headings[city.find(3)], 180);
  assert.equal(city.counts[DRIVER_AVAILABLE], 0);
});

test("a snapshot forgets who is not in it, and who is goes on gliding", () => {
  const city = new City();
  apply(city, { snapshot: true, changed: changed([1, 52, 5, 3], [2, 52, 5, 3]) }, 1000);
  apply(city, { snapshot: true, changed: changed([2, 52, 5.002, 3]) }, 2000);
  city.glide(2500);
  assert.equal(city.count, 1);
  same(at(city, 2), plane(52, 5.001));
});

test("a kind this page does not know is left out", () => {
  const city = new City();
  apply(city, { snapshot: true, changed: changed([1, 52, 5, 200], [2, 52, 5, 3]) }, 1000);
  assert.deepEqual([city.count, city.find(1)], [1, -1]);
});

test("more than there is room for are left out", () => {
  const city = new City();
  const rows = Array.from({ length: 16_400 }, (_, n) => [n + 1, 52, 5, DRIVER_AVAILABLE]);
  apply(city, { snapshot: true, changed: changed(...rows) }, 1000);
  assert.equal(city.count, 16_384);
});

test("the nearest is found within a distance, among the wanted", () => {
  const city = new City();
  apply(city, { snapshot: true, changed: changed([1, 52, 5, 3], [2, 52, 5.001, RIDER_LOOKING]) }, 1000);
  const [x, y] = plane(52, 5.0004);
  assert.equal(city.handles[city.nearest(x, y, 1e-4)], 1);
  assert.equal(city.handles[city.nearest(x, y, 1e-4, (i) => city.kinds[i] === RIDER_LOOKING)], 2);
  assert.equal(city.nearest(x, y, 1e-7), -1);
});

test("the box leaves out the odd one far away", () => {
  const city = new City();
  assert.equal(city.box(), null);
  const rows = Array.from({ length: 99 }, (_, n) => [n + 1, 52 + n / 1000, 5, 3]);
  apply(city, { snapshot: true, changed: changed(...rows, [100, 0, 0, 3]) }, 1000);
  assert.ok(city.box().west > projectX(4.99));
});
