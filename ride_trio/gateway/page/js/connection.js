/** How the connection stands: a word in the head of the page, a banner when it is down. */

import { get } from "./api.js";
import { byId, say } from "./dom.js";

const WORDS = { connecting: "Connecting", live: "Live", lost: "Offline" };

/**
 * @param {import("./link.js").Link} link
 * @param {import("./announcer.js").Announcer} announcer
 * @param {(version: {version: string, tile_url: string | null}) => void} onVersion hears once what the server is
 */
export function showConnection(link, announcer, onVersion) {
  const update = newUpdate(link, announcer);
  const check = newCheck(onVersion);
  // Also when it is lost: a server that is there and refuses says so with a 401, which no WebSocket shows.
  link.addEventListener("state", () => link.state.name !== "connecting" && check());
  link.addEventListener("state", update);
  byId("retry").addEventListener("click", () => link.retry());
  update();
}

function newUpdate(link, announcer) {
  let countdown = 0;
  let wasLive = false;
  let said = "";
  return () => {
    const { name, retryMs, reason } = link.state;
    clearInterval(countdown);
    document.documentElement.dataset.connection = name;
    say(byId("connection"), WORDS[name]);
    byId("banner").hidden = name === "live" || !(wasLive || name === "lost");
    if (name === "lost") countdown = countDown(retryMs, reason);
    if (name === "connecting") say(byId("banner-text"), "Connecting to the server…");
    if (name === "live") announcer.say(wasLive ? "Connected again" : "Connected");
    if (name === "lost" && said !== name) announcer.say("Connection lost. Trying again");
    if (name !== "connecting") said = name;
    wasLive ||= name === "live";
  };
}

function countDown(retryMs, reason) {
  const until = performance.now() + retryMs;
  const why = reason ? ` (${reason})` : "";
  const tick = () => {
    const seconds = Math.max(Math.ceil((until - performance.now()) / 1000), 0);
    say(byId("banner-text"), `Connection lost${why}. Next try in ${seconds} s.`);
  };
  tick();
  return setInterval(tick, 500);
}

/** A server of another version may speak another way: take its page. */
function newCheck(onVersion) {
  let known = "";
  return async () => {
    const answer = await get("version").catch(() => null);
    if (!answer) return;
    if (!known) onVersion(answer);
    else if (answer.version !== known) location.reload();
    known = answer.version;
  };
}
