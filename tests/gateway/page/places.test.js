// Degrees, the plane, zones, and what part of it the camera shows.

import assert from "node:assert/strict";
import { test } from "node:test";
import { boxOf, Camera } from "./page/camera.js";
import * as geo from "./page/geo.js";
import { roundLength } from "./page/scale.js";

const near = (actual, expected, slack = 1e-9) =>
  assert.ok(Math.abs(actual - expected) <= slack, `${actual} is not ${expected}`);

test("degrees come back from the plane as they went in", () => {
  for (const [latitude, longitude] of [[0, 0], [52.0907, 5.1214], [-33.87, 151.21], [85, -180]]) {
    near(geo.latitudeOf(geo.projectY(latitude)), latitude);
    near(geo.longitudeOf(geo.projectX(longitude)), longitude);
  }
});

test("the plane is the unit square, and no latitude leaves it", () => {
  near(geo.projectX(-180), 0);
  near(geo.projectX(180), 1);
  near(geo.projectY(90), 0, 1e-6);
  near(geo.projectY(-90), 1, 1e-6);
});

test("a degree of latitude is 111.2 km, also on the plane", () => {
  const place = (latitude) => ({ x: 0.5, y: geo.projectY(latitude) });
  near(geo.metresBetween(place(51.5), place(52.5)), 111_195, 60);
});

test("zones are cut toward zero, as the server cuts them", () => {
  assert.equal(geo.zoneName(37.7749, -122.4194), "3777:-12241");
  assert.equal(geo.zoneName(-0.004, 0.004), "0:0");
});

test("a zone's edges hold what is in it, and row 0 is twice as wide", () => {
  assert.deepEqual(geo.cellEdges(3777), [37.77, 37.78]);
  assert.deepEqual(geo.cellEdges(-12241), [-122.42, -122.41]);
  assert.deepEqual(geo.cellEdges(0), [-0.01, 0.01]);
});

test("a heading has a name", () => {
  assert.deepEqual([0, 44, 180, 359].map(geo.windOf), ["north", "north-east", "south", "north"]);
});

test("a place in words says which half of the earth", () => {
  assert.equal(geo.formatPlace(-33.87, -70.5), "33.8700° S, 70.5000° W");
});

function camera() {
  const made = new Camera();
  made.resize(800, 600);
  made.fit(boxOf({ south: 52, west: 5, north: 52.1, east: 5.2 }));
  return made;
}

test("zooming leaves what is under the pointer where it is", () => {
  const shown = camera();
  const before = shown.pointAt(123, 456);
  shown.zoomAt(1.7, 123, 456);
  near(shown.screenX(before.x), 123, 1e-6);
  near(shown.screenY(before.y), 456, 1e-6);
});

test("panning moves what is shown with the finger", () => {
  const shown = camera();
  const point = shown.pointAt(100, 100);
  shown.panBy(30, -20);
  near(shown.screenX(point.x), 130, 1e-6);
  near(shown.screenY(point.y), 80, 1e-6);
});

test("a fitted box is in sight, and not much else", () => {
  const { south, west, north, east } = camera().bounds();
  assert.ok(south <= 52 && north >= 52.1 && west <= 5 && east >= 5.2);
  assert.ok(east - west < 0.3);
});

test("what panels cover is not used", () => {
  const shown = camera();
  shown.covered.bottom = 300;
  const box = boxOf({ south: 52, west: 5, north: 52.1, east: 5.2 });
  shown.fit(box);
  assert.ok(shown.screenY(box.south) <= 300);
  near((shown.screenY(box.south) + shown.screenY(box.north)) / 2, 150, 1e-6);
});

test("a margin widens the view by its share on each side", () => {
  const shown = camera();
  const plain = shown.bounds();
  const wide = shown.bounds(0.25);
  near((wide.east - wide.west) / (plain.east - plain.west), 1.5);
});

test("the scale's bar has a round length that fits", () => {
  assert.deepEqual([9, 99, 640, 2100].map(roundLength), [5, 50, 500, 2000]);
});
