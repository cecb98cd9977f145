/** The map by keyboard: arrows, plus and minus; the crosshair in the middle is the pointer. */

const STEP_PX = 80;
const ZOOM = 1.5;
const WITHIN_PX = 60; // of the crosshair, for what Enter picks

/**
 * @param {import("./map_view.js").MapView} map
 * @param {object} actions
 * @param {(screenX: number, screenY: number, withinPx: number) => void} actions.onTap
 * @param {(step: number) => void} actions.onStep to the next (1) or the one before (-1) of who is in sight
 * @param {() => void} actions.onFit
 * @param {() => void} actions.onLeave
 * @param {() => void} actions.onSummary
 */
export function listenToKeys(map, { onTap, onStep, onFit, onLeave, onSummary }) {
  const pan = (x, y) => () => map.move((camera) => camera.panBy(x * STEP_PX, y * STEP_PX));
  const zoom = (factor) => () => {
    const { x, y } = map.camera.middle();
    map.fly((camera) => camera.zoomAt(factor, x, y));
  };
  const pick = () => {
    const { x, y } = map.camera.middle();
    onTap(x, y, WITHIN_PX);
  };
  /** @type {Record<string, () => void>} */
  const doings = {
    ArrowLeft: pan(1, 0),
    ArrowRight: pan(-1, 0),
    ArrowUp: pan(0, 1),
    ArrowDown: pan(0, -1),
    "+": zoom(ZOOM),
    "=": zoom(ZOOM),
    "-": zoom(1 / ZOOM),
    0: onFit,
    Home: onFit,
    Enter: pick,
    " ": pick,
    n: () => onStep(1),
    p: () => onStep(-1),
    s: onSummary,
    Escape: onLeave,
  };
  map.element.addEventListener("keydown", (event) => {
    const doing = doings[event.key];
    if (event.target !== map.element || !doing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    doing();
  });
  const aim = () => {
    map.marker.aims = map.element.matches(":focus-visible");
    map.touch();
  };
  map.element.addEventListener("focus", aim);
  map.element.addEventListener("blur", aim);
}
