// What stands around the picture: whether the studio answers, light or dark, the palette's drawer.

import { byId } from "./dom.js";

/** Follow the socket: quiet while all is well, clear when the studio is gone. */
export function showConnection(live) {
  let countdown = 0;
  byId("retry").addEventListener("click", () => live.retryNow());
  live.addEventListener("status", ({ detail: { status, reason, wait_s } }) => {
    clearInterval(countdown);
    if (status !== "gone") {
      showConnection.say(status, status === "open" ? "Ready" : "Connecting");
      return;
    }
    const until = performance.now() + 1000 * wait_s;
    const why = reason || "The studio is not answering";
    const write = () => {
      const left = Math.ceil((until - performance.now()) / 1000);
      byId("connection-wait").textContent = left > 0 ? ` Trying again in ${left} s.` : " Trying again.";
    };
    showConnection.say("gone", `${why}.`.replace(/\.\.$/, "."));
    write();
    countdown = setInterval(write, 500);
  });
}

showConnection.say = (status, text) => {
  const place = byId("connection");
  place.dataset.status = document.body.dataset.studio = status;
  // Written only when it changes, so that a screen reader says it once.
  if (byId("connection-said").textContent !== text) byId("connection-said").textContent = text;
  byId("connection-wait").textContent = "";
  byId("retry").hidden = status !== "gone";
};

/** The drawer: open on wide windows, closed on narrow ones, and as it was left. */
export function showPalette() {
  const button = byId("show-palette");
  const wide = matchMedia("(min-width: 64rem)");
  const set = (open) => {
    document.body.classList.toggle("palette-open", open);
    button.setAttribute("aria-expanded", String(open));
  };
  const toggle = () => {
    const open = !document.body.classList.contains("palette-open");
    set(open);
    if (wide.matches) store("allaprima.palette", open ? "open" : "closed");
    if (open && !wide.matches) byId("palette").scrollIntoView({ block: "nearest" });
  };
  button.addEventListener("click", toggle);
  const settle = () => set(wide.matches && recall("allaprima.palette") !== "closed");
  wide.addEventListener("change", settle);
  settle();
  return { toggle };
}

/** The button changes to the other theme; back at the system's own it follows the system again. */
export function showTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  byId("theme").addEventListener("click", () => {
    const systems = dark.matches ? "dark" : "light";
    const now = root.dataset.theme ?? systems;
    const next = now === "dark" ? "light" : "dark";
    if (next === systems) delete root.dataset.theme;
    else root.dataset.theme = next;
    store("allaprima.theme", root.dataset.theme ?? "");
  });
}

function store(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // It holds until the page is left.
  }
}

function recall(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}
