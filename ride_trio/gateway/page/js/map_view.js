/**
 * The map: two canvases, one above the other. The ground is drawn when it has changed, what moves in every frame.
 *
 * Frames come as fast as the screen's while the map itself moves, else 30 times a second, and not at all while nothing
 * happens.
 */

import { Camera } from "./camera.js";
import { Frames } from "./frames.js";
import { Ground } from "./ground.js";
import { isDriver, KINDS, RIDER_LOOKING } from "./kinds.js";
import { Marker } from "./marker.js";
import { Marks } from "./marks.js";
import { Matches } from "./matches.js";
import { Sprites } from "./sprites.js";
import { colour } from "./theme.js";
import { Trails } from "./trails.js";

const FRAME_MS = 1000 / 30;
const GROUND_MS = 400; // between drawings of the ground while the map stands still
const REST_MS = 250; // without a move: the map has come to rest
const FLIGHT_MS = 450;
// Marks' sizes in CSS pixels, by how many there are to a million pixels of the map: so that they don't become one blot.
const SIZES = [
  { most: 80, size: 20 },
  { most: 400, size: 17 },
  { most: 2_000, size: 14 },
  { most: Number.POSITIVE_INFINITY, size: 11 },
];
// Riders lie below drivers, but who waits lies above all.
const ORDER = [(kind) => !isDriver(kind) && kind !== RIDER_LOOKING, isDriver, (kind) => kind === RIDER_LOOKING];

const still = matchMedia("(prefers-reduced-motion: reduce)");

export class MapView {
  #flight = null;
  #groundAt = 0;
  #groundStale = true;
  #movedAt = 0;
  #stale = true;

  /**
   * @param {HTMLElement} element holds the canvases `.ground` and `.life`
   * @param {import("./city.js").City} city
   */
  constructor(element, city) {
    this.element = element;
    this.city = city;
    this.camera = new Camera();
    this.ground = new Ground();
    this.matches = new Matches();
    this.marker = new Marker();
    this.trails = new Trails();
    /** @type {import("./tiles.js").Tiles | null} */
    this.tiles = null;
    /** Kinds that are not shown. @type {Set<number>} */
    this.hidden = new Set();
    this.frames = new Frames(element);
    /** Called when the camera has been moved. */
    this.onMove = () => {};
    this.below = element.querySelector(".ground").getContext("2d", { alpha: false });
    this.above = element.querySelector(".life").getContext("2d");
    new ResizeObserver(() => this.#resize()).observe(element);
    this.#resize();
    const follow = () => {
      city.still = still.matches;
    };
    still.addEventListener("change", follow);
    follow();
    requestAnimationFrame((now) => this.#frame(now));
  }

  /** Take colours anew from the stylesheet. */
  restyle() {
    this.ground.restyle();
    this.trails.restart(colour("street"));
    this.marker.restyle();
    this.line = colour("match");
    this.sprites = null;
    this.#groundStale = this.#stale = true;
  }

  /** Something that is drawn has changed. */
  touch() {
    this.#stale = true;
  }

  /** So has something that lies on the ground, and may not be drawn again soon by itself: the map may stand still. */
  touchGround() {
    this.#groundStale = this.#stale = true;
  }

  /** Put a map of somebody else's under ours. @param {import("./tiles.js").Tiles} tiles */
  useTiles(tiles) {
    this.tiles = tiles;
    tiles.onLoad = () => this.touchGround();
    this.touchGround();
  }

  /** The camera has been moved, or is to be: `change` does it. @param {(camera: Camera) => void} change */
  move(change) {
    this.#flight = null;
    change(this.camera);
    this.#moved();
  }

  /** As `move`, but gently, unless less motion is wanted. @see move */
  fly(change) {
    const { camera } = this;
    const from = placeOf(camera);
    if (this.#flight) Object.assign(camera, this.#flight.to); // one after the other adds up
    change(camera);
    const to = placeOf(camera);
    if (!still.matches) {
      Object.assign(camera, from);
      this.#flight = { from, to, since: performance.now() };
    }
    this.#moved();
  }

  /** The index of what is shown nearest to a point of the screen, or -1. */
  entityAt(screenX, screenY, withinPx) {
    const { x, y } = this.camera.pointAt(screenX, screenY);
    return this.city.nearest(x, y, withinPx / this.camera.scale, (index) => !this.hidden.has(this.city.kinds[index]));
  }

  #moved() {
    this.#movedAt = performance.now();
    this.#groundStale = this.#stale = true;
    this.onMove();
  }

  #resize() {
    const ratio = devicePixelRatio;
    const { width, height } = this.element.getBoundingClientRect();
    this.camera.resize(width, height);
    for (const context of [this.below, this.above]) {
      context.canvas.width = Math.max(Math.round(width * ratio), 1);
      context.canvas.height = Math.max(Math.round(height * ratio), 1);
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    this.marks = new Marks(this.above.canvas.width, this.above.canvas.height);
    this.sprites = null;
    this.#moved();
  }

  #frame(now) {
    requestAnimationFrame((next) => this.#frame(next));
    if (this.#flight) this.#fly(now);
    const glides = this.frames.last < this.city.restsAt; // also once more, to draw where they have come to rest
    const moves = this.#stale || glides || this.matches.shown.length > 0 || this.marker.moves;
    if (!moves || (!this.#groundStale && now - this.frames.last < FRAME_MS - 4)) return;
    const begun = performance.now();
    if (this.#groundStale || now - this.#groundAt > GROUND_MS) this.#drawGround(now);
    this.#stale = false;
    this.#drawLife(now);
    this.frames.drawn(now, performance.now() - begun);
  }

  #fly(now) {
    const { from, to, since } = this.#flight;
    const done = Math.min(Math.max((now - since) / FLIGHT_MS, 0), 1);
    const eased = 1 - (1 - done) ** 3;
    this.camera.scale = from.scale * (to.scale / from.scale) ** eased;
    this.camera.x = from.x + (to.x - from.x) * eased;
    this.camera.y = from.y + (to.y - from.y) * eased;
    if (done === 1) this.#flight = null;
    this.#moved();
  }

  #drawGround(now) {
    const { below, camera } = this;
    const rests = now - this.#movedAt > REST_MS;
    this.#groundStale = false;
    this.#groundAt = now;
    this.ground.fill(below, camera);
    this.tiles?.draw(below, camera);
    this.ground.draw(below, camera);
    this.trails.draw(below, camera, now, rests);
  }

  #drawLife(now) {
    const { above, camera, city } = this;
    city.glide(now);
    this.#drawMarks();
    this.matches.draw(above, camera, city, now, this.line, !still.matches);
    this.marker.draw(above, camera, city, now, still.matches);
  }

  #drawMarks() {
    const { above, city, marks } = this;
    const crowd = (city.count * 1e6) / (this.camera.width * this.camera.height);
    const { size } = SIZES.find(({ most }) => crowd <= most);
    if (this.sprites?.size !== size) this.sprites = new Sprites(size, devicePixelRatio);
    marks.begin(this.sprites);
    for (const isInTurn of ORDER) this.#putThose((kind) => isInTurn(kind) && !this.hidden.has(kind));
    marks.show(above);
  }

  /** Put the marks of the kinds that are wanted. */
  #putThose(wanted) {
    const { camera, city, marks } = this;
    const { count, kinds, headings, x, y } = city;
    const drawn = KINDS.map((_, kind) => wanted(kind));
    const ratio = devicePixelRatio;
    for (let i = 0; i < count; i++) {
      if (drawn[kinds[i]]) marks.put(kinds[i], headings[i], camera.screenX(x[i]) * ratio, camera.screenY(y[i]) * ratio);
    }
  }
}

const placeOf = ({ x, y, scale }) => ({ x, y, scale });
