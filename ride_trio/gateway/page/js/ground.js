/** What lies under the traffic: the grid of zones with their names, and the zones shaded by what goes on in them. */

import { cellEdges, cellOf, projectX, projectY } from "./geo.js";
import { colour } from "./theme.js";

// Degrees between lines. Zones are 0.01; a line of a coarser grid is one of every finer one too.
const STEPS = [10, 1, 0.1, 0.01, 0.001];
const ZONE_STEP = 0.01;
// CSS pixels between lines: fewer, and the grid isn't drawn; at the second it has its full strength.
const LEAST_PX = 22;
const FULL_PX = 160;
const NAMES_PX = 96; // a zone's width from which on it has its name in its corner
const STRONGEST = 0.42; // the opacity of the busiest zone

/**
 * @typedef {object} Zone
 * @property {number} row @property {number} column
 * @property {number} sessions
 * @property {number} activity messages a second
 */

export class Ground {
  /** @type {Zone[]} */
  zones = [];

  /** Take the colours anew from the stylesheet. */
  restyle() {
    this.ground = colour("ground");
    this.line = colour("grid");
    this.text = colour("grid-text");
    this.heat = colour("heat");
    this.font = `10px ${colour("font")}`;
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("./camera.js").Camera} camera
   */
  fill(context, camera) {
    context.fillStyle = this.ground;
    context.fillRect(0, 0, camera.width, camera.height);
  }

  /** @see fill */
  draw(context, camera) {
    this.#shade(context, camera);
    const bounds = camera.bounds();
    for (const step of STEPS) this.#grid(context, camera, bounds, step);
    this.#names(context, camera, bounds);
  }

  #shade(context, camera) {
    const most = Math.max(...this.zones.map((zone) => zone.activity), 10);
    context.fillStyle = this.heat;
    for (const zone of this.zones) {
      const [south, north] = cellEdges(zone.row);
      const [west, east] = cellEdges(zone.column);
      const x = camera.screenX(projectX(west));
      const y = camera.screenY(projectY(north));
      context.globalAlpha = STRONGEST * Math.sqrt(zone.activity / most);
      context.fillRect(x, y, camera.screenX(projectX(east)) - x, camera.screenY(projectY(south)) - y);
    }
    context.globalAlpha = 1;
  }

  #grid(context, camera, bounds, step) {
    const apart = (step / 360) * camera.scale;
    if (apart < LEAST_PX) return;
    const strength = Math.min((apart - LEAST_PX) / (FULL_PX - LEAST_PX), 1);
    context.globalAlpha = strength * (step < ZONE_STEP ? 0.45 : 1);
    context.strokeStyle = this.line;
    context.lineWidth = 1;
    context.beginPath();
    for (const longitude of multiples(bounds.west, bounds.east, step)) {
      const x = crisp(camera.screenX(projectX(longitude)));
      context.moveTo(x, 0);
      context.lineTo(x, camera.height);
    }
    for (const latitude of multiples(bounds.south, bounds.north, step)) {
      const y = crisp(camera.screenY(projectY(latitude)));
      context.moveTo(0, y);
      context.lineTo(camera.width, y);
    }
    context.stroke();
    context.globalAlpha = 1;
  }

  #names(context, camera, bounds) {
    if ((ZONE_STEP / 360) * camera.scale < NAMES_PX) return;
    context.fillStyle = this.text;
    context.font = this.font;
    context.textBaseline = "top";
    for (let row = cellOf(bounds.south); row <= cellOf(bounds.north); row++) {
      const north = cellEdges(row)[1];
      for (let column = cellOf(bounds.west); column <= cellOf(bounds.east); column++) {
        const west = cellEdges(column)[0];
        context.fillText(`${row}:${column}`, camera.screenX(projectX(west)) + 5, camera.screenY(projectY(north)) + 5);
      }
    }
  }
}

/** The multiples of a step between two degrees. */
function* multiples(from, to, step) {
  for (let n = Math.ceil(from / step); n * step <= to; n++) yield n * step;
}

const crisp = (pixel) => Math.round(pixel) + 0.5;
