// Two pictures under one divider: a remembered state on the left, what is painted now on the right.

import { announce, byId } from "./dom.js";

export class Compare {
  #history;
  #frame = byId("easel");
  #other = byId("other");
  #divider = byId("divider");
  #button = byId("compare");
  #entry = null;

  constructor(history) {
    this.#history = history;
    this.#button.addEventListener("click", () => this.toggle());
    this.#divider.addEventListener("input", () => this.#place());
    history.addEventListener("added", () => this.#offer());
    history.addEventListener("chosen", () => this.#offer());
    this.#offer();
  }

  get on() {
    return this.#entry !== null;
  }

  /** Begin with the state before the current one, or end. */
  toggle() {
    if (this.on) this.stop();
    else this.#start();
  }

  stop() {
    this.#entry = null;
    this.#show();
  }

  #start() {
    const { entries, current } = this.#history;
    const at = current ? entries.indexOf(current) : entries.length;
    const entry = entries[at - 1] ?? entries.find((one) => one !== current);
    if (!entry?.url) return;
    this.#entry = entry;
    this.#divider.value = 50;
    this.#show();
    this.#divider.focus();
    announce(`Comparing with: ${entry.prompt}. Arrow keys move the divider.`);
  }

  #show() {
    this.#frame.classList.toggle("comparing", this.on);
    this.#button.setAttribute("aria-pressed", String(this.on));
    byId("before").hidden = byId("other").hidden = this.#divider.hidden = byId("divider-line").hidden = !this.on;
    if (!this.on) return;
    this.#other.src = this.#entry.url;
    this.#other.alt = `Earlier: ${this.#entry.prompt}`;
    byId("before").textContent = this.#entry.prompt;
    this.#place();
  }

  #place() {
    this.#frame.style.setProperty("--divider", `${this.#divider.value}%`);
    this.#divider.setAttribute("aria-valuetext", `${this.#divider.value} % of the earlier picture`);
  }

  #offer() {
    this.#button.disabled = this.#history.entries.length < 2;
  }
}
