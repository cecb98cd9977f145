/** On a phone the side panel is a sheet at the bottom: its handle opens and shuts it. */

import { byId } from "./dom.js";

const LEAST_FREE_PX = 200;
const narrow = matchMedia("(max-width: 760px)");

/** @param {import("./map_view.js").MapView} map whose free part follows the sheet */
export function showSheet(map) {
  const side = byId("side");
  const handle = byId("sheet-handle");
  const set = (open) => {
    side.classList.toggle("open", open);
    handle.setAttribute("aria-expanded", String(open));
    handle.setAttribute("aria-label", open ? "Show less" : "Show more");
  };
  handle.addEventListener("click", () => set(!side.classList.contains("open")));
  const follow = () => cover(map, side);
  new ResizeObserver(follow).observe(side);
  narrow.addEventListener("change", follow);
  set(false);
  follow();
}

/** Tell the camera what the panel covers, so that "the middle" is one that can be seen. */
function cover(map, side) {
  const { top, bottom } = map.element.getBoundingClientRect();
  const reaches = Math.max(side.getBoundingClientRect().top, top + LEAST_FREE_PX);
  map.camera.covered.bottom = narrow.matches ? Math.max(bottom - reaches, 0) : 0;
}
