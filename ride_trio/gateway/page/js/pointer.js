/** Mouse, pen and fingers on the map: drag to pan, wheel or two fingers to zoom, a tap to pick. */

const SLACK_PX = 6; // of a tap that is not a drag
const TOUCH_PX = 24; // how near to a mark a finger has to come
const MOUSE_PX = 14;
const ZOOM_A_PIXEL = 1.0018; // of the wheel; a notch is 100 to 120
const ZOOM_A_PINCH_PIXEL = 1.01; // of a touchpad's pinch, which comes as a wheel with the control key

/**
 * @param {import("./map_view.js").MapView} map
 * @param {(screenX: number, screenY: number, withinPx: number) => void} onTap
 */
export function listenToPointers(map, onTap) {
  const { element } = map;
  /** @type {Map<number, {x: number, y: number}>} pressed pointers */
  const down = new Map();
  let travelled = 0;

  const place = (event) => {
    const box = element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest("button, a")) return;
    element.setPointerCapture(event.pointerId);
    if (down.size === 0) travelled = 0;
    down.set(event.pointerId, place(event));
  });

  element.addEventListener("pointermove", (event) => {
    const now = place(event);
    const before = down.get(event.pointerId);
    if (!before) {
      if (event.pointerType === "mouse") point(map, now);
      return;
    }
    travelled += Math.hypot(now.x - before.x, now.y - before.y);
    if (travelled < SLACK_PX) return;
    const [other] = [...down].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    map.move((camera) => {
      if (other) pinch(camera, before, now, other);
      else camera.panBy(now.x - before.x, now.y - before.y);
    });
    down.set(event.pointerId, now);
  });

  const release = (event) => {
    const at = down.get(event.pointerId);
    down.delete(event.pointerId);
    if (!at || event.type === "pointercancel" || travelled >= SLACK_PX || down.size) return;
    onTap(at.x, at.y, event.pointerType === "mouse" ? MOUSE_PX : TOUCH_PX);
  };
  element.addEventListener("pointerup", release);
  element.addEventListener("pointercancel", release);
  element.addEventListener("pointerleave", () => point(map, null));

  element.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const { x, y } = place(event);
      const pixels = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * 16 : event.deltaY;
      const factor = (event.ctrlKey ? ZOOM_A_PINCH_PIXEL : ZOOM_A_PIXEL) ** -pixels;
      map.move((camera) => camera.zoomAt(factor, x, y));
    },
    { passive: false },
  );
}

/** Two fingers: what is under each of them stays there. */
function pinch(camera, before, now, other) {
  const apart = Math.hypot(now.x - other.x, now.y - other.y);
  const wasApart = Math.hypot(before.x - other.x, before.y - other.y);
  camera.panBy((now.x - before.x) / 2, (now.y - before.y) / 2);
  camera.zoomAt(apart / Math.max(wasApart, 1), (now.x + other.x) / 2, (now.y + other.y) / 2);
}

/** The mouse rests on something, or on nothing. */
function point(map, at) {
  const index = at ? map.entityAt(at.x, at.y, MOUSE_PX) : -1;
  const handle = index < 0 ? 0 : map.city.handles[index];
  if (handle === map.marker.pointed) return;
  map.marker.pointed = handle;
  map.element.classList.toggle("on-entity", handle !== 0);
  map.touch();
}
