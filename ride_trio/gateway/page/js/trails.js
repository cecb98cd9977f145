/**
 * The streets, as the traffic draws them: every drive leaves a faint line that fades within minutes. Where many
 * drive, a street stands out; no map data is needed, and none is made up.
 *
 * The lines are one picture of what the map shows and a margin around it. While the map moves, the picture moves with
 * it; when it has come to rest elsewhere, the lines are copied to a new picture of that place.
 */

const MARGIN = 0.3; // on each side, as a share of the map's width and height
const FADE_EVERY_MS = 2_000;
const FADE = "rgb(0 0 0 / 4%)"; // of a line that fades, each time: half of it is gone after half a minute
const WIDTH_M = 9; // of a line: a street
const MOST_ZOOM = 5; // by which lines are copied: more, and they would be clouds or dust
const LEAST_PX = 1;
const MOST_PX = 9;

/** @typedef {import("./camera.js").Camera} Camera */

export class Trails {
  /** What has been driven since the last `draw`. */
  #path = new Path2D();
  #fadedAt = 0;
  /** What the picture shows: its north-west corner on the plane, and pixels a unit. */
  #place = { x: 0, y: 0, scale: 1 };
  /** @type {CanvasRenderingContext2D | null} */
  #picture = null;

  /** Forget every line. @param {string} colour of those to come */
  restart(colour) {
    this.colour = colour;
    this.#picture = null;
  }

  /** A drive from one point of the plane to another, not far. */
  add(fromX, fromY, toX, toY) {
    if (!this.#picture) return;
    const { x, y, scale } = this.#place;
    this.#path.moveTo((fromX - x) * scale, (fromY - y) * scale);
    this.#path.lineTo((toX - x) * scale, (toY - y) * scale);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Camera} camera
   * @param {number} now milliseconds
   * @param {boolean} rests whether the map has come to rest
   */
  draw(context, camera, now, rests) {
    this.#picture?.stroke(this.#path); // all at once: a stroke a drive would cost a frame's time
    this.#path = new Path2D();
    if (!this.#picture || (rests && !this.#isOf(camera))) this.#move(camera);
    this.#fade(now);
    const { canvas } = this.#picture;
    const { x, y, scale } = this.#place;
    const zoom = camera.scale / scale;
    context.drawImage(canvas, camera.screenX(x), camera.screenY(y), canvas.width * zoom, canvas.height * zoom);
  }

  #isOf({ x, y, scale, width, height }) {
    const { canvas } = this.#picture;
    const inside = Math.abs((x - this.#place.x) * scale - canvas.width / 2) < (width * MARGIN) / 2;
    const insideToo = Math.abs((y - this.#place.y) * scale - canvas.height / 2) < (height * MARGIN) / 2;
    return inside && insideToo && scale === this.#place.scale && canvas.width >= width && canvas.height >= height;
  }

  /** A new picture around what the camera shows, with what the old one has of it. */
  #move(camera) {
    const { canvas: old } = this.#picture ?? {};
    const { x, y, scale } = this.#place;
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(camera.width * (1 + 2 * MARGIN));
    canvas.height = Math.round(camera.height * (1 + 2 * MARGIN));
    const corner = camera.pointAt(-camera.width * MARGIN, -camera.height * MARGIN);
    this.#place = { ...corner, scale: camera.scale };
    this.#picture = canvas.getContext("2d");
    const zoom = camera.scale / scale;
    if (old && zoom < MOST_ZOOM && zoom > 1 / MOST_ZOOM) {
      const [left, top] = [(x - corner.x) * camera.scale, (y - corner.y) * camera.scale];
      this.#picture.drawImage(old, left, top, old.width * zoom, old.height * zoom);
    }
    this.#style(camera);
  }

  #style(camera) {
    const street = WIDTH_M / camera.metresAPixel();
    this.#picture.strokeStyle = this.colour;
    this.#picture.lineWidth = Math.min(Math.max(street, LEAST_PX), MOST_PX);
    this.#picture.lineCap = "butt";
    this.#picture.globalAlpha = 0.45;
  }

  #fade(now) {
    if (now - this.#fadedAt < FADE_EVERY_MS) return;
    this.#fadedAt = now;
    const picture = this.#picture;
    picture.save();
    picture.globalCompositeOperation = "destination-out";
    picture.globalAlpha = 1;
    picture.fillStyle = FADE;
    picture.fillRect(0, 0, picture.canvas.width, picture.canvas.height);
    picture.restore();
  }
}
