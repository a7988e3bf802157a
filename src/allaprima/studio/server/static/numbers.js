// Frames a second and how long a keystroke takes to become a picture, shown when asked for.

import { byId, el } from "./dom.js";

const WINDOW_MS = 1000;
const KEPT = 200;
const STAGES = ["text", "denoise", "decode", "encode"];

export class Numbers {
  #asked = new Map();
  #latencies = [];
  #shown = [];
  #dropped = 0;
  #last = null;
  #panel = byId("numbers");
  #button = byId("show-numbers");
  #timer = 0;

  constructor() {
    this.#button.addEventListener("click", () => this.toggle());
  }

  toggle() {
    const on = this.#panel.hidden;
    this.#panel.hidden = !on;
    this.#button.setAttribute("aria-pressed", String(on));
    clearInterval(this.#timer);
    if (on) this.#timer = setInterval(() => this.#write(), 250);
    if (on) this.#write();
  }

  asked(sequence, at) {
    this.#asked.set(sequence, at);
    if (this.#asked.size > KEPT) this.#asked.delete(this.#asked.keys().next().value);
  }

  shown(header) {
    const now = performance.now();
    const at = this.#asked.get(header.sequence);
    if (at !== undefined) {
      this.#latencies.push(now - at);
      if (this.#latencies.length > KEPT) this.#latencies.shift();
      this.#asked.delete(header.sequence);
    }
    this.#shown.push(now);
    this.#dropped += header.dropped;
    this.#last = header;
  }

  /** What is known, as plain numbers; milliseconds. */
  read() {
    const now = performance.now();
    this.#shown = this.#shown.filter((at) => now - at < WINDOW_MS);
    const sorted = [...this.#latencies].sort((a, b) => a - b);
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
    const latencies = { last: this.#latencies.at(-1), p50: at(0.5), p95: at(0.95) };
    return { fps: this.#shown.length, ...latencies, dropped: this.#dropped, header: this.#last };
  }

  #write() {
    const { fps, last, p50, p95, dropped, header } = this.read();
    const ms = (value) => (value === undefined ? "–" : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`);
    const timed = STAGES.filter((stage) => header?.timings_ms[stage] !== undefined);
    const rows = [
      ["Frames a second", String(fps)],
      ["Keystroke to picture", ms(last)],
      ["Half within", ms(p50)],
      ["95 of 100 within", ms(p95)],
      ...(header ? [["Steps", String(header.steps)], ["Size", `${header.width} × ${header.height}`]] : []),
      ...timed.map((stage) => [stage[0].toUpperCase() + stage.slice(1), ms(header.timings_ms[stage])]),
      ["Overtaken", String(dropped)],
    ];
    byId("numbers-list").replaceChildren(...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  }
}
