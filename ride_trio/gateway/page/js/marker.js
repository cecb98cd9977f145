/** What the reader looks at: a ring around the selected and the pointed-at, the reader's own rider, the crosshair. */

import { metresBetween } from "./geo.js";
import { KINDS } from "./kinds.js";
import { colour } from "./theme.js";

const RING_PX = 15;
const PULSE_MS = 1_800;

export class Marker {
  constructor() {
    /** Handles, 0 for none. */
    this.selected = 0;
    this.pointed = 0;
    /** What the selected is called. */
    this.name = "";
    /**
     * The reader's own rider: a place of the plane, the driver's handle once there is one, whether it waits, and
     * whether it is in the driver's car.
     * @type {{x: number, y: number, driver: number, waits: boolean, aboard: boolean} | null}
     */
    this.rider = null;
    /** Whether the middle of the map is marked, for who aims by keyboard. */
    this.aims = false;
  }

  /** Whether there is something that moves by itself. */
  get moves() {
    return this.rider?.waits ?? false;
  }

  restyle() {
    this.ink = colour("ink");
    this.accent = colour("accent");
    this.halo = colour("halo");
    this.font = `600 12px ${colour("font")}`;
  }

  /** Metres from the reader's rider to its driver, NaN if either isn't shown. @param {import("./city.js").City} city */
  driverDistance(city) {
    const at = this.rider ? city.find(this.rider.driver) : -1;
    return at < 0 ? Number.NaN : metresBetween(this.rider, { x: city.x[at], y: city.y[at] });
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("./camera.js").Camera} camera
   * @param {import("./city.js").City} city
   */
  draw(context, camera, city, now, still) {
    if (this.rider) this.#drawRider(context, camera, city, now, still);
    const pointed = this.pointed === this.selected ? -1 : city.find(this.pointed);
    if (pointed >= 0) this.#mark(context, camera, city, pointed, KINDS[city.kinds[pointed]].text, this.ink);
    const selected = city.find(this.selected);
    if (selected >= 0) this.#mark(context, camera, city, selected, this.name, this.accent);
    if (this.aims) this.#crosshair(context, camera);
  }

  #mark(context, camera, city, at, name, stroke) {
    const x = camera.screenX(city.x[at]);
    const y = camera.screenY(city.y[at]);
    circle(context, x, y, RING_PX, this.halo, 5);
    circle(context, x, y, RING_PX, stroke, 2);
    this.#label(context, x, y - RING_PX - 8, name);
  }

  #label(context, x, y, text) {
    context.font = this.font;
    context.textAlign = "center";
    context.textBaseline = "alphabetic";
    context.lineJoin = "round";
    context.lineWidth = 4;
    context.strokeStyle = this.halo;
    context.strokeText(text, x, y);
    context.fillStyle = this.ink;
    context.fillText(text, x, y);
    context.textAlign = "start";
  }

  #drawRider(context, camera, city, now, still) {
    const driver = city.find(this.rider.driver);
    if (driver >= 0 && this.rider.aboard) {
      this.#mark(context, camera, city, driver, "You", this.accent);
      return;
    }
    const x = camera.screenX(this.rider.x);
    const y = camera.screenY(this.rider.y);
    if (driver >= 0) this.#tie(context, x, y, camera.screenX(city.x[driver]), camera.screenY(city.y[driver]));
    if (this.rider.waits) this.#pulse(context, x, y, still ? 0.4 : (now % PULSE_MS) / PULSE_MS);
    circle(context, x, y, 8, this.halo, 4);
    context.fillStyle = this.accent;
    context.fill();
    this.#label(context, x, y - 16, "You");
  }

  #tie(context, x, y, driverX, driverY) {
    context.beginPath();
    context.setLineDash([2, 7]);
    context.lineCap = "round";
    context.lineWidth = 3;
    context.strokeStyle = this.accent;
    context.moveTo(x, y);
    context.lineTo(driverX, driverY);
    context.stroke();
    context.setLineDash([]);
  }

  #pulse(context, x, y, done) {
    context.globalAlpha = 1 - done;
    circle(context, x, y, 10 + 34 * done, this.accent, 2);
    context.globalAlpha = 1;
  }

  #crosshair(context, camera) {
    const { x, y } = camera.middle();
    for (const [style, width] of [[this.halo, 4], [this.ink, 1.5]]) {
      context.beginPath();
      context.moveTo(x - 14, y);
      context.lineTo(x + 14, y);
      context.moveTo(x, y - 14);
      context.lineTo(x, y + 14);
      context.strokeStyle = style;
      context.lineWidth = width;
      context.stroke();
    }
  }
}

function circle(context, x, y, radius, style, width) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.strokeStyle = style;
  context.lineWidth = width;
  context.stroke();
}
