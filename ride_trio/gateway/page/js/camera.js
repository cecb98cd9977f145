/** What part of the plane (see geo.js) the map shows, and how large. No drawing, no events. */

import { latitudeOf, longitudeOf, metresAUnit, projectX, projectY } from "./geo.js";

// Pixels a unit of the plane. The whole world on a small phone; and 0.1 m a pixel, a car's length on a thumb's width.
const MIN_SCALE = 200;
const MAX_SCALE = 4e8;
// Pixels a unit when there is one place only: a walkable part of a city.
const CLOSE_SCALE = 2 ** 23;

export class Camera {
  constructor() {
    this.x = 0.5;
    this.y = 0.5;
    this.scale = 512;
    this.width = 1;
    this.height = 1;
    /** @type {{left: number, top: number, right: number, bottom: number}} pixels that panels cover */
    this.covered = { left: 0, top: 0, right: 0, bottom: 0 };
  }

  /** @param {number} width @param {number} height CSS pixels */
  resize(width, height) {
    this.width = Math.max(width, 1);
    this.height = Math.max(height, 1);
  }

  screenX(x) {
    return (x - this.x) * this.scale + this.width / 2;
  }

  screenY(y) {
    return (y - this.y) * this.scale + this.height / 2;
  }

  /** The point of the plane that is shown at a point of the screen. */
  pointAt(screenX, screenY) {
    return {
      x: this.x + (screenX - this.width / 2) / this.scale,
      y: this.y + (screenY - this.height / 2) / this.scale,
    };
  }

  /** Metres that a pixel in the middle is wide. */
  metresAPixel() {
    return metresAUnit(this.y) / this.scale;
  }

  /** The middle of what no panel covers, in pixels. */
  middle() {
    const { left, top, right, bottom } = this.covered;
    return { x: (left + this.width - right) / 2, y: (top + this.height - bottom) / 2 };
  }

  /** @param {number} dx @param {number} dy pixels that the map follows a finger */
  panBy(dx, dy) {
    this.x = clamp(this.x - dx / this.scale, 0, 1);
    this.y = clamp(this.y - dy / this.scale, 0, 1);
  }

  /** Magnify by a factor; what is at the point of the screen stays there. */
  zoomAt(factor, screenX, screenY) {
    const fixed = this.pointAt(screenX, screenY);
    this.scale = clamp(this.scale * factor, MIN_SCALE, MAX_SCALE);
    this.x = clamp(fixed.x - (screenX - this.width / 2) / this.scale, 0, 1);
    this.y = clamp(fixed.y - (screenY - this.height / 2) / this.scale, 0, 1);
  }

  /** Show a point of the plane in the middle of what no panel covers. */
  centreOn(x, y) {
    const middle = this.middle();
    this.x = clamp(x - (middle.x - this.width / 2) / this.scale, 0, 1);
    this.y = clamp(y - (middle.y - this.height / 2) / this.scale, 0, 1);
  }

  /** Show a box of the plane as large as fits. @param {Box} box */
  fit(box) {
    const { left, top, right, bottom } = this.covered;
    const across = Math.max(this.width - left - right, 50) / Math.max(box.east - box.west, 1e-12);
    const down = Math.max(this.height - top - bottom, 50) / Math.max(box.south - box.north, 1e-12);
    this.scale = clamp(Math.min(across, down) * 0.92, MIN_SCALE, CLOSE_SCALE);
    this.centreOn((box.west + box.east) / 2, (box.north + box.south) / 2);
  }

  /**
   * What is shown, in degrees, with a margin on each side.
   * @param {number} margin share of the width and height
   */
  bounds(margin = 0) {
    const across = this.width / 2 / this.scale * (1 + 2 * margin);
    const down = this.height / 2 / this.scale * (1 + 2 * margin);
    return {
      south: latitudeOf(clamp(this.y + down, 0, 1)),
      west: longitudeOf(clamp(this.x - across, 0, 1)),
      north: latitudeOf(clamp(this.y - down, 0, 1)),
      east: longitudeOf(clamp(this.x + across, 0, 1)),
    };
  }
}

/** @typedef {{north: number, south: number, west: number, east: number}} Box of the plane: north < south */

/** The box of places in degrees. */
export const boxOf = ({ south, west, north, east }) => ({
  north: projectY(north),
  south: projectY(south),
  west: projectX(west),
  east: projectX(east),
});

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
