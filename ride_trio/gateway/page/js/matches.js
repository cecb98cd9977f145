/** Matches, as lines between the two who found each other: seen for some seconds. */

const SHOWN_MS = 5_000;
const MOST = 500; // a burst of more would hide the map anyway

/** @typedef {{rider: number, driver: number, at: number}} Match handles, and milliseconds */

export class Matches {
  /** @type {Match[]} oldest first */
  shown = [];

  /**
   * @param {{riderHandle?: number, driverHandle?: number}[]} matched as in a CityView
   * @param {number} now milliseconds
   */
  add(matched, now) {
    for (const { riderHandle, driverHandle } of matched) {
      this.shown.push({ rider: riderHandle ?? 0, driver: driverHandle ?? 0, at: now });
    }
    if (this.shown.length > MOST) this.shown.splice(0, this.shown.length - MOST);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("./camera.js").Camera} camera
   * @param {import("./city.js").City} city
   * @param {string} colour
   * @param {boolean} fades or is there and then gone, for who wants less motion
   */
  draw(context, camera, city, now, colour, fades) {
    while (this.shown.length && now - this.shown[0].at > SHOWN_MS) this.shown.shift();
    context.strokeStyle = colour;
    context.lineWidth = 1.75;
    context.lineCap = "round";
    for (const { rider, driver, at } of this.shown) {
      const [a, b] = [city.find(rider), city.find(driver)];
      if (a < 0 || b < 0) continue;
      const age = (now - at) / SHOWN_MS;
      context.globalAlpha = fades ? (1 - age) ** 1.5 : 0.7;
      const [x, y] = [camera.screenX(city.x[a]), camera.screenY(city.y[a])];
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(camera.screenX(city.x[b]), camera.screenY(city.y[b]));
      context.stroke();
      if (fades) ring(context, x, y, 6 + 26 * (1 - (1 - age) ** 3));
    }
    context.globalAlpha = 1;
  }
}

function ring(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.stroke();
}
