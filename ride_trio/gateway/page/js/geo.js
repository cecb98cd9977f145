/**
 * Places on the earth and on the map's plane.
 *
 * The plane is Web Mercator with the whole world in the unit square: x 0 to 1 from west to east, y 0 to 1 from north
 * (85.05 degrees) to south. Zones are the server's: cells of 0.01 degree, cut toward zero, so row and column 0 are
 * twice as wide.
 */

export const MAX_LATITUDE = 85.0511;
const EARTH_RADIUS_M = 6_371_009;
const CELLS_PER_DEGREE = 100;
const RADIANS = Math.PI / 180;

/** @param {number} longitude degrees */
export const projectX = (longitude) => longitude / 360 + 0.5;

/** @param {number} latitude degrees; beyond the map's edge it is put on the edge */
export function projectY(latitude) {
  const within = Math.min(Math.max(latitude, -MAX_LATITUDE), MAX_LATITUDE);
  return 0.5 - Math.log(Math.tan(Math.PI / 4 + (within * RADIANS) / 2)) / (2 * Math.PI);
}

/** @param {number} x of the plane; degrees come back */
export const longitudeOf = (x) => (x - 0.5) * 360;

/** @param {number} y of the plane; degrees come back */
export const latitudeOf = (y) => (2 * Math.atan(Math.exp((0.5 - y) * 2 * Math.PI)) - Math.PI / 2) / RADIANS;

/** Metres that one unit of the plane is long at a height y of it. */
export const metresAUnit = (y) => 2 * Math.PI * EARTH_RADIUS_M * Math.cos(latitudeOf(y) * RADIANS);

/**
 * Metres between two points of the plane that are near each other.
 * @param {{x: number, y: number}} a
 * @param {{x: number, y: number}} b
 */
export const metresBetween = (a, b) => Math.hypot(a.x - b.x, a.y - b.y) * metresAUnit((a.y + b.y) / 2);

/** The row or column of zones that a degree is in. @param {number} degrees */
export const cellOf = (degrees) => Math.trunc(degrees * CELLS_PER_DEGREE);

/** Where a row or column of zones begins and ends, in degrees. @param {number} cell */
export const cellEdges = (cell) => [
  (cell > 0 ? cell : cell - 1) / CELLS_PER_DEGREE,
  (cell < 0 ? cell : cell + 1) / CELLS_PER_DEGREE,
];

/** The zone's name, as the server says it. */
export const zoneName = (latitude, longitude) => `${cellOf(latitude)}:${cellOf(longitude)}`;

/** A place in words: 52.0907° N, 5.1214° E. */
export function formatPlace(latitude, longitude) {
  const north = `${Math.abs(latitude).toFixed(4)}° ${latitude < 0 ? "S" : "N"}`;
  return `${north}, ${Math.abs(longitude).toFixed(4)}° ${longitude < 0 ? "W" : "E"}`;
}

const WINDS = ["north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"];

/** @param {number} degrees clockwise from north */
export const windOf = (degrees) => WINDS[Math.round(degrees / 45) & 7];
