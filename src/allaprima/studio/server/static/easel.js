// The canvas. Of the frames that come, only the newest is decoded and drawn.

const MELT_MS = 140;
const MOST_PX = 1600;

/** Event: "shown" {header, jpeg}, when a frame is on the canvas. */
export class Easel extends EventTarget {
  #canvas;
  #context;
  #next = null;
  #busy = false;
  #bitmap = null;
  #shown = null;
  #melting = 0;
  #hangings = 0; // counts up when the picture is taken down, so that a late frame is not hung again
  #calm = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(canvas) {
    super();
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { alpha: false });
    new ResizeObserver(() => this.#resize()).observe(canvas);
  }

  /** What is on the canvas: {header, jpeg}, or null. */
  get shown() {
    return this.#shown;
  }

  offer(frame) {
    this.#next = frame;
    if (!this.#busy) this.#work();
  }

  /** Take the picture down. */
  clear() {
    this.#hangings += 1;
    this.#next = null;
    this.#shown = null;
    cancelAnimationFrame(this.#melting);
    this.#bitmap?.close();
    this.#bitmap = null;
    this.#context.reset();
  }

  async #work() {
    this.#busy = true;
    while (this.#next) {
      const frame = this.#next;
      const hanging = this.#hangings;
      this.#next = null;
      let bitmap;
      try {
        bitmap = await createImageBitmap(new Blob([frame.jpeg], { type: "image/jpeg" }));
      } catch {
        continue; // a damaged frame; the next replaces it
      }
      if (hanging === this.#hangings) this.#show(frame, bitmap);
      else bitmap.close();
    }
    this.#busy = false;
  }

  #show(frame, bitmap) {
    const finer = this.#shown?.header.sequence === frame.header.sequence;
    this.#bitmap?.close();
    this.#bitmap = bitmap;
    this.#shown = frame;
    cancelAnimationFrame(this.#melting);
    // A new word shows at once; only the refinement of what is there already melts in.
    if (finer && !this.#calm.matches && !document.hidden) this.#melt(performance.now());
    else this.#draw(1);
    this.dispatchEvent(new CustomEvent("shown", { detail: frame }));
  }

  #melt(began) {
    const step = (now) => {
      const share = Math.min(1, (now - began) / MELT_MS);
      this.#draw(share < 1 ? 0.35 : 1);
      if (share < 1) this.#melting = requestAnimationFrame(step);
    };
    this.#melting = requestAnimationFrame(step);
  }

  #draw(alpha) {
    if (!this.#bitmap) return;
    const { width, height } = this.#canvas;
    const context = this.#context;
    context.globalAlpha = alpha;
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#bitmap, 0, 0, width, height);
    context.globalAlpha = 1;
  }

  #resize() {
    const box = this.#canvas.getBoundingClientRect();
    const scale = Math.min(window.devicePixelRatio || 1, MOST_PX / Math.max(box.width, box.height, 1));
    const width = Math.max(1, Math.round(box.width * scale));
    const height = Math.max(1, Math.round(box.height * scale));
    if (this.#canvas.width === width && this.#canvas.height === height) return;
    this.#canvas.width = width;
    this.#canvas.height = height;
    this.#draw(1);
  }
}
