// The typing session as an animated picture: one page for each state of the prompt that was seen.

import { postJson } from "./api.js";

const SHORTEST_MS = 60;
const LONGEST_MS = 700;
const LAST_MS = 1600;

export class Flipbook {
  #caps;
  #pages = [];
  #bytes = 0;

  /** `caps` are the server's: pages, bytes of all, and pixels of all, each page counted as large as the last. */
  constructor(caps) {
    this.#caps = caps;
  }

  get pages() {
    return this.#pages.length;
  }

  /** A frame was shown; the finest of each state of the prompt becomes its page. */
  note(header, jpeg) {
    const last = this.#pages.at(-1);
    if (last && last.sequence === header.sequence) {
      this.#bytes += jpeg.byteLength - last.jpeg.byteLength;
      last.jpeg = jpeg;
    } else {
      this.#pages.push({ sequence: header.sequence, at: performance.now(), jpeg });
      this.#bytes += jpeg.byteLength;
    }
    const most = Math.min(this.#caps.pages, this.#caps.pixels / (header.width * header.height));
    while (this.#pages.length > most || this.#bytes > this.#caps.bytes) this.#thin();
  }

  clear() {
    this.#pages = [];
    this.#bytes = 0;
  }

  /** How long each page is seen: as long as it was, within reason. */
  durations() {
    return this.#pages.map(({ at }, number, all) => {
      const next = all[number + 1];
      return next ? Math.round(Math.min(LONGEST_MS, Math.max(SHORTEST_MS, next.at - at))) : LAST_MS;
    });
  }

  /** Return the animated WebP as a Blob. */
  async make() {
    const durations = this.durations();
    const frames = this.#pages.map(({ jpeg }, number) => ({ jpeg: toBase64(jpeg), duration_ms: durations[number] }));
    return (await postJson("/api/flipbooks", { frames })).blob();
  }

  /** Leave out every other page of a long session, but never the newest. */
  #thin() {
    const last = this.#pages.length - 1;
    this.#pages = this.#pages.filter((_, number) => (last - number) % 2 === 0);
    this.#bytes = this.#pages.reduce((sum, { jpeg }) => sum + jpeg.byteLength, 0);
  }
}

function toBase64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}
