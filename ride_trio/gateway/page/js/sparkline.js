/** A figure's last minutes as a line: no axes, its own scale from zero up. */

import { runsOf } from "./rates.js";
import { colour } from "./theme.js";

const WIDTH = 1.5;
// Values that the width is for at the beginning: a page just opened shows more than a stub at the edge.
const FEWEST = 45;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {number[]} values oldest first, NaN where nothing was known
 */
export function drawSparkline(canvas, values) {
  const ratio = devicePixelRatio;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const top = Math.max(...values.filter(Number.isFinite), 0) || 1;
  const x = (index) => width - 2 - ((values.length - 1 - index) * (width - 4)) / (Math.max(values.length, FEWEST) - 1);
  const y = (value) => height - WIDTH - (value / top) * (height - 2 * WIDTH - 2);
  context.strokeStyle = context.fillStyle = colour("spark");
  for (const run of runsOf(values)) drawRun(context, run, values, x, y, height);
}

function drawRun(context, [from, to], values, x, y, height) {
  context.beginPath();
  for (let i = from; i <= to; i++) context.lineTo(x(i), y(values[i]));
  context.lineWidth = WIDTH;
  context.lineJoin = "round";
  context.globalAlpha = 1;
  context.stroke();
  context.lineTo(x(to), height);
  context.lineTo(x(from), height);
  context.globalAlpha = 0.12;
  context.fill();
}
