/** The bar that tells how long a stretch of the map is. */

import { byId, say } from "./dom.js";

const LONGEST_PX = 110;

/** The longest round length, 1, 2 or 5 and zeros, of at most so many metres. @param {number} metres */
export function roundLength(metres) {
  const power = 10 ** Math.floor(Math.log10(metres));
  const digit = [5, 2, 1].find((n) => n * power <= metres) ?? 1;
  return digit * power;
}

/** @param {import("./camera.js").Camera} camera */
export function drawScale(camera) {
  const metresAPixel = camera.metresAPixel();
  const length = roundLength(LONGEST_PX * metresAPixel);
  byId("scale").style.width = `${length / metresAPixel}px`;
  say(byId("scale"), formatLength(length));
}

/** A round length; `formatMetres` would round it to tens, and say 2.0 km. @param {number} metres */
const formatLength = (metres) => (metres < 1000 ? `${metres} m` : `${metres / 1000} km`);
