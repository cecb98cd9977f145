/**
 * The marks of the map, drawn once into one picture, from which marks.js copies them: a row a kind, a column a heading.
 * State is told by shape as well as by colour:
 *
 *   available  a full arrowhead          at pickup   a square on its corner
 *   to pickup  an empty arrowhead        off duty    a small ring
 *   on trip    an arrowhead in a disc    waiting     a pin
 *                                        matched     a small ring, under its driver once it is on board
 */

import { KINDS } from "./kinds.js";
import { colour } from "./theme.js";

const HEADINGS = 32;
// Around the mark, in CSS pixels: for the halo that sets it off from the ground.
const EDGE = 3;

export class Sprites {
  /**
   * @param {number} size of a mark, CSS pixels
   * @param {number} ratio device pixels a CSS pixel
   */
  constructor(size, ratio) {
    this.size = size;
    this.ratio = ratio;
    /** Device pixels of a mark's square: whole, so that marks stay sharp. */
    this.step = Math.ceil((size + 2 * EDGE) * ratio);
    this.headings = HEADINGS;
    /** Pixels from one row of the picture to the next. */
    this.pitch = this.step * HEADINGS;
    const canvas = new OffscreenCanvas(this.pitch, this.step * KINDS.length);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    this.#draw(context);
    this.pixels = new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
    this.#findSpans();
  }

  /** Of each row of each mark, the first column that is not empty, and the one after the last. */
  #findSpans() {
    const { pixels, step } = this;
    const rows = pixels.length / step;
    this.firsts = new Uint8Array(rows).fill(step);
    this.ends = new Uint8Array(rows);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < step; column++) {
        if (pixels[row * step + column] === 0) continue;
        this.firsts[row] = Math.min(this.firsts[row], column);
        this.ends[row] = column + 1;
      }
    }
  }

  /**
   * Where a mark's first pixel is.
   * @param {number} kind of kinds.js
   * @param {number} heading degrees clockwise from north
   */
  origin(kind, heading) {
    const column = Math.round((heading * HEADINGS) / 360) % HEADINGS;
    return kind * this.step * this.pitch + column * this.step;
  }

  #draw(context) {
    const halo = colour("halo");
    for (let kind = 0; kind < KINDS.length; kind++) {
      const fill = colour(KINDS[kind].key);
      for (let column = 0; column < HEADINGS; column++) {
        context.save();
        context.translate((column + 0.5) * this.step, (kind + 0.5) * this.step);
        context.scale((this.ratio * this.size) / 2, (this.ratio * this.size) / 2); // the mark's radius is 1
        SHAPES[kind](context, fill, halo, (column / HEADINGS) * 2 * Math.PI);
        context.restore();
      }
    }
  }
}

const outline = (context, stroke, width) => {
  context.lineJoin = "round";
  context.lineWidth = width;
  context.strokeStyle = stroke;
  context.stroke();
};

const filled = (context, fill, halo) => {
  outline(context, halo, 0.5);
  context.fillStyle = fill;
  context.fill();
};

function arrowhead(context, turn, size = 1) {
  context.rotate(turn);
  context.beginPath();
  context.moveTo(0, -size);
  context.lineTo(0.76 * size, 0.84 * size);
  context.lineTo(0, 0.42 * size);
  context.lineTo(-0.76 * size, 0.84 * size);
  context.closePath();
}

function disc(context, radius) {
  context.beginPath();
  context.arc(0, 0, radius, 0, 2 * Math.PI);
}

function available(context, fill, halo, turn) {
  arrowhead(context, turn);
  filled(context, fill, halo);
}

function enRoute(context, fill, halo, turn) {
  arrowhead(context, turn, 0.94);
  outline(context, halo, 0.8);
  context.fillStyle = halo;
  context.fill();
  outline(context, fill, 0.34);
}

function atPickup(context, fill, halo) {
  context.rotate(Math.PI / 4);
  context.beginPath();
  context.rect(-0.66, -0.66, 1.32, 1.32);
  filled(context, fill, halo);
}

function onTrip(context, fill, halo, turn) {
  disc(context, 0.98);
  filled(context, fill, halo);
  arrowhead(context, turn, 0.62);
  context.fillStyle = halo;
  context.fill();
}

function offline(context, fill, halo) {
  disc(context, 0.5);
  outline(context, halo, 0.6);
  outline(context, fill, 0.24);
}

function pin(context) {
  context.beginPath();
  context.arc(0, -0.28, 0.66, Math.PI * 0.85, Math.PI * 0.15);
  context.lineTo(0, 1);
  context.closePath();
}

function looking(context, fill, halo) {
  pin(context);
  filled(context, fill, halo);
  context.translate(0, -0.28);
  disc(context, 0.26);
  context.fillStyle = halo;
  context.fill();
}

function matched(context, fill, halo) {
  disc(context, 0.42);
  outline(context, halo, 0.7);
  outline(context, fill, 0.3);
}

function idle(context, fill, halo) {
  disc(context, 0.3);
  filled(context, fill, halo);
}

/** By number of kinds.js. */
const SHAPES = [idle, looking, matched, available, enRoute, atPickup, onTrip, offline];
