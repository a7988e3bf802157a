// The strip: every pause in the typing is a state that one can return to.

import { byId, el } from "./dom.js";
import { likeness, state } from "./state.js";

const PAUSE_MS = 700;
const MOST = 120;
const STORED = 40;
const KEY = "allaprima.history";
const THUMBNAIL_PX = 160;

/** Events: "added" {entry}, "chosen" {entry}. Entries: {id, prompt, settings, jpeg: Blob | null, url}. */
export class History extends EventTarget {
  entries = [];
  current = null;
  #list = byId("history");
  #timer = 0;
  #next = 1;

  constructor() {
    super();
    this.#load();
    this.#list.addEventListener("keydown", (event) => this.#walk(event));
    this.#mark();
  }

  /** A frame is shown for what is asked now: remember it once nothing changes for a while. */
  note(header, jpeg) {
    const moment = state.snapshot();
    if (header.prompt !== moment.prompt) return;
    clearTimeout(this.#timer);
    const same = this.entries.find((entry) => entry.key === likeness(moment));
    if (same) {
      this.current = same;
      this.#renew(same, jpeg);
      this.#mark();
    } else {
      this.#timer = setTimeout(() => this.#add(moment, jpeg), PAUSE_MS);
    }
  }

  /** Something changed: what was about to be remembered was no pause. */
  stir() {
    clearTimeout(this.#timer);
    this.current = null;
    this.#mark();
  }

  /** Go `by` states forth or back. */
  step(by) {
    const at = this.current ? this.entries.indexOf(this.current) : this.entries.length;
    const entry = this.entries[Math.min(this.entries.length - 1, Math.max(0, at + by))];
    if (entry) this.#choose(entry);
  }

  clear() {
    for (const entry of this.entries) URL.revokeObjectURL(entry.url);
    this.entries = [];
    this.current = null;
    this.#list.replaceChildren();
    this.#store();
    this.#mark();
  }

  #add(moment, jpeg) {
    const entry = { id: this.#next++, key: likeness(moment), ...moment, jpeg: null, url: "" };
    this.entries.push(entry);
    this.#list.append(this.#node(entry));
    this.#renew(entry, jpeg);
    this.current = entry;
    while (this.entries.length > MOST) this.#drop(this.entries[0]);
    this.#mark();
    entry.node.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.dispatchEvent(new CustomEvent("added", { detail: { entry } }));
  }

  #renew(entry, jpeg) {
    URL.revokeObjectURL(entry.url);
    entry.jpeg = new Blob([jpeg], { type: "image/jpeg" });
    entry.url = URL.createObjectURL(entry.jpeg);
    entry.node.querySelector("img").src = entry.url;
    entry.small = null;
    this.#store();
  }

  #drop(entry) {
    URL.revokeObjectURL(entry.url);
    entry.node.remove();
    this.entries = this.entries.filter((one) => one !== entry);
  }

  #node(entry) {
    const image = el("img", { alt: "", width: 72, height: 72, decoding: "async" });
    if (entry.url) image.src = entry.url;
    const button = el("button", {
      type: "button", class: "state", title: entry.prompt, "aria-label": `Return to: ${entry.prompt}`,
      onclick: () => this.#choose(entry),
    }, image);
    entry.node = el("li", {}, button);
    return entry.node;
  }

  #choose(entry) {
    state.restore(entry); // which stirs the strip
    this.current = entry;
    this.#mark();
    entry.node.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.dispatchEvent(new CustomEvent("chosen", { detail: { entry } }));
  }

  #walk(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    this.step(by);
    this.current?.node.querySelector("button").focus();
  }

  #mark() {
    byId("no-history").hidden = this.entries.length > 0;
    byId("flipbook").disabled = byId("clear-history").disabled = this.entries.length === 0;
    for (const entry of this.entries) {
      const button = entry.node.querySelector("button");
      if (entry === this.current) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  }

  #load() {
    let stored = [];
    try {
      stored = JSON.parse(sessionStorage.getItem(KEY)) ?? [];
    } catch {
      // The strip begins empty.
    }
    for (const { prompt, settings, small } of stored) {
      const key = likeness({ prompt, settings });
      const entry = { id: this.#next++, key, prompt, settings, jpeg: null, url: small, small };
      this.entries.push(entry);
      this.#list.append(this.#node(entry));
    }
  }

  /** Keep the newest states over a reload, as small pictures; a state that is returned to is painted again. */
  async #store() {
    const kept = this.entries.slice(-STORED);
    for (const entry of kept) entry.small ??= entry.jpeg && (await shrink(entry.jpeg));
    try {
      const stored = kept.map(({ prompt, settings, small }) => ({ prompt, settings, small }));
      sessionStorage.setItem(KEY, JSON.stringify(stored));
    } catch {
      // Too much for this browser; the strip lives as long as the page.
    }
  }
}

async function shrink(blob) {
  const bitmap = await createImageBitmap(blob);
  const scale = THUMBNAIL_PX / Math.max(bitmap.width, bitmap.height);
  const canvas = el("canvas", { width: Math.round(bitmap.width * scale), height: Math.round(bitmap.height * scale) });
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas.toDataURL("image/jpeg", 0.8);
}
