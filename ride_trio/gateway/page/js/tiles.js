/** A map of somebody else's under ours, if the operator has set MAP_TILE_URL: square pictures from `{z}/{x}/{y}`. */

const SIDE = 256;
const DEEPEST = 19;
const MOST = 256; // pictures kept
const OPACITY = 0.55; // the city's life is to stand out

export class Tiles {
  /** @type {Map<string, HTMLImageElement>} by address, in the order of their use */
  #images = new Map();
  #template;

  /** @param {string} template with {z}, {x} and {y} */
  constructor(template) {
    this.#template = template;
    /** Called when there is more to draw. */
    this.onLoad = () => {};
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("./camera.js").Camera} camera
   */
  draw(context, camera) {
    const zoom = Math.min(Math.max(Math.round(Math.log2(camera.scale / SIDE)), 0), DEEPEST);
    const across = 2 ** zoom;
    const side = camera.scale / across;
    const from = camera.pointAt(0, 0);
    const to = camera.pointAt(camera.width, camera.height);
    context.globalAlpha = OPACITY;
    for (let row = first(from.y, across); row <= last(to.y, across); row++) {
      for (let column = first(from.x, across); column <= last(to.x, across); column++) {
        const image = this.#image(zoom, column, row);
        if (!image.complete || !image.naturalWidth) continue;
        context.drawImage(image, camera.screenX(column / across), camera.screenY(row / across), side + 0.5, side + 0.5);
      }
    }
    context.globalAlpha = 1;
  }

  #image(zoom, column, row) {
    const address = this.#template.replace("{z}", zoom).replace("{x}", column).replace("{y}", row);
    let image = this.#images.get(address);
    if (image === undefined) {
      if (this.#images.size === MOST) this.#images.delete(this.#images.keys().next().value);
      image = new Image();
      image.onload = () => this.onLoad();
      image.src = address;
    } else {
      this.#images.delete(address); // and in again, as the newest
    }
    this.#images.set(address, image);
    return image;
  }
}

const first = (position, across) => Math.max(Math.floor(position * across), 0);
const last = (position, across) => Math.min(Math.floor(position * across), across - 1);
