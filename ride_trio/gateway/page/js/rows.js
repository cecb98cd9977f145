/**
 * The tables of bytes in a CityView, as the server packs them: little-endian rows of fixed length.
 *
 *   changed  uint32 handle, int32 latitude, int32 longitude (millionths of a degree), uint8 kind, uint8 heading
 *            (256 to the circle, clockwise from north), uint8 speed (m/s), uint8 zero
 *   removed  uint32 handle
 *   zones    int32 row, int32 column, uint16 sessions, uint16 activity (messages a second)
 */

const CHANGED_BYTES = 16;
const REMOVED_BYTES = 4;
const ZONE_BYTES = 12;
const MICRODEGREES = 1e6;

/**
 * @param {string | undefined} text base64, as protobuf's JSON mapping has it; absent when empty
 * @returns {DataView}
 */
export function bytesOf(text) {
  const binary = atob(text ?? "");
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return new DataView(bytes.buffer);
}

/**
 * @param {DataView} view
 * @param {(handle: number, latitude: number, longitude: number, kind: number, heading: number, speed: number) => void}
 *   visit degrees, kind of kinds.js, heading in degrees, metres a second
 */
export function readChanged(view, visit) {
  for (let at = 0; at + CHANGED_BYTES <= view.byteLength; at += CHANGED_BYTES) {
    visit(
      view.getUint32(at, true),
      view.getInt32(at + 4, true) / MICRODEGREES,
      view.getInt32(at + 8, true) / MICRODEGREES,
      view.getUint8(at + 12),
      (view.getUint8(at + 13) * 360) / 256,
      view.getUint8(at + 14),
    );
  }
}

/** @param {DataView} view @param {(handle: number) => void} visit */
export function readRemoved(view, visit) {
  for (let at = 0; at + REMOVED_BYTES <= view.byteLength; at += REMOVED_BYTES) visit(view.getUint32(at, true));
}

/**
 * @param {DataView} view
 * @returns {{row: number, column: number, sessions: number, activity: number}[]}
 */
export function readZones(view) {
  const zones = [];
  for (let at = 0; at + ZONE_BYTES <= view.byteLength; at += ZONE_BYTES) {
    zones.push({
      row: view.getInt32(at, true),
      column: view.getInt32(at + 4, true),
      sessions: view.getUint16(at + 8, true),
      activity: view.getUint16(at + 10, true),
    });
  }
  return zones;
}
