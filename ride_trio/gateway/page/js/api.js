/** The server's read-only JSON. */

const TIMEOUT_MS = 5_000;

/** Where the story of a user is, by its name or by its number on the map: a name may look like a number. */
export const pathOfUser = (userId) => `users/${encodeURIComponent(userId)}`;
export const pathOfHandle = (handle) => `handles/${handle}`;

let leaving = false;

/** Go to the login, once: a second answer's way there would break off the first one's. */
function logIn() {
  if (!leaving) location.assign("/login");
  leaving = true;
}

/**
 * @param {string} path below /api/v1/
 * @returns {Promise<any>} null when there is no such thing
 * @throws {Error} when the server can't be reached or fails; without a login the page goes to it instead
 */
export async function get(path) {
  const response = await fetch(`/api/v1/${path}`, {
    headers: { accept: "application/json" },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (response.status === 401) logIn();
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`/api/v1/${path}: ${response.status} ${response.statusText}`);
  return response.json();
}

/**
 * Ask again and again, a pause after each answer, as long as the page is seen and the server is there.
 * @param {string | (() => string | null)} path below /api/v1/; a function may say null: not now
 * @param {number} everyMs
 * @param {(answer: any, path: string) => void} onAnswer
 * @returns {() => void} ask at once
 */
export function poll(path, everyMs, onAnswer) {
  let timer = 0;
  const ask = async () => {
    clearTimeout(timer);
    const now = typeof path === "string" ? path : path();
    if (now !== null && !document.hidden && document.documentElement.dataset.connection !== "lost") {
      try {
        onAnswer(await get(now), now);
      } catch {
        // Once the link has noticed, its state says that the server is away; the next turn asks again.
      }
    }
    clearTimeout(timer);
    timer = setTimeout(ask, everyMs);
  };
  document.addEventListener("visibilitychange", () => document.hidden || ask());
  ask();
  return ask;
}
