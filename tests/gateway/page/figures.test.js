// Rates of totals, waits between tries, numbers for people, and a ride's steps.

import assert from "node:assert/strict";
import { test } from "node:test";
import { backoffMs } from "./page/backoff.js";
import { formatMetres, formatNumber, formatSpan, formatStatus } from "./page/format.js";
import { DRIVER_AT_PICKUP, DRIVER_AVAILABLE, DRIVER_EN_ROUTE, DRIVER_ON_TRIP } from "./page/kinds.js";
import { History, mean, Rate, runsOf } from "./page/rates.js";
import { stepAfter } from "./page/ride_session.js";

test("a rate is the growth of a total by the server's clock", () => {
  const rate = new Rate();
  assert.ok(Number.isNaN(rate.next(100, 1_000)));
  assert.equal(rate.next(150, 3_000), 25);
});

test("a total that has fallen is another server's: no rate, then one again", () => {
  const rate = new Rate();
  rate.next(100, 1_000);
  assert.ok(Number.isNaN(rate.next(3, 2_000)));
  assert.equal(rate.next(10, 3_000), 7);
});

test("two answers of the same moment make no rate", () => {
  const rate = new Rate();
  rate.next(1, 1_000);
  assert.ok(Number.isNaN(rate.next(2, 1_000)));
});

test("a history keeps three minutes", () => {
  const history = new History();
  for (let n = 0; n < 200; n++) history.push(n);
  assert.deepEqual([history.values.length, history.values[0], history.last], [180, 20, 199]);
});

test("a mean is of what is known of the last samples", () => {
  assert.equal(mean([9, 1, Number.NaN, 3], 3), 2);
  assert.ok(Number.isNaN(mean([Number.NaN], 5)));
});

test("a line is broken where nothing was known", () => {
  assert.deepEqual(runsOf([Number.NaN, 1, 2, Number.NaN, 3]), [[1, 2], [4, 4]]);
});

test("waits double up to a bound, half of them by chance", () => {
  assert.deepEqual([1, 2, 3, 5, 20].map((n) => backoffMs(n, () => 1)), [500, 1000, 2000, 8000, 8000]);
  assert.equal(backoffMs(2, () => 0), 500);
});

test("numbers are as long as they have to be", () => {
  const texts = [0, 0.416, 7.34, 84, 84.22, 1204, 18_300, 2_500_000, Number.NaN].map(formatNumber);
  assert.deepEqual(texts, ["0", "0.42", "7.3", "84", "84.2", "1,204", "18.3k", "2.5M", "–"]);
});

test("spans and lengths are in the unit that one would say", () => {
  assert.deepEqual([-1, 74, 300, 7_980, 200_000].map(formatSpan), ["0 s", "74 s", "5 min", "2 h 13 min", "2 d 7 h"]);
  assert.deepEqual([347, 2_350].map(formatMetres), ["350 m", "2.4 km"]);
});

test("a status is said in small letters", () => assert.equal(formatStatus("STATUS_EN_ROUTE_TO_PICKUP"), "en route to pickup"));

test("a ride goes forward with its driver, and never back", () => {
  const kinds = [DRIVER_EN_ROUTE, DRIVER_AT_PICKUP, DRIVER_EN_ROUTE, DRIVER_ON_TRIP, DRIVER_AVAILABLE];
  const steps = [];
  kinds.reduce((step, kind) => (steps.push(stepAfter(step, kind)), steps.at(-1)), "matched");
  assert.deepEqual(steps, ["en-route", "at-pickup", "at-pickup", "on-trip", "arrived"]);
});

test("a driver that is shown as free before it has set off is not at the end of the trip", () => {
  assert.equal(stepAfter("matched", DRIVER_AVAILABLE), "matched");
});
