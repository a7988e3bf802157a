// The live socket: every change out at once, the newest frame in. Connects again by itself.

import { toJson } from "./seeds.js";

const WAITS_S = [0.5, 1, 2, 4, 8];
const BUSY = 1013;

/** Split a binary message into its header and the JPEG's bytes. */
export function parseFrame(buffer) {
  if (buffer.byteLength < 4) throw new Error(`got a message of ${buffer.byteLength} bytes; expected a frame`);
  const length = new DataView(buffer).getUint32(0);
  if (4 + length > buffer.byteLength) throw new Error("got a frame that is cut short");
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return { header, jpeg: new Uint8Array(buffer, 4 + length) };
}

/**
 * Events: "frame" {header, jpeg}, "failed" {sequence, message, id}, "asked" {sequence, at},
 * "status" {status: "open" | "connecting" | "gone", reason, wait_s}.
 */
export class LiveSocket extends EventTarget {
  #address;
  #leastMs;
  #socket = null;
  #sequence = 0;
  #waiting = null;
  #sentAt = -Infinity;
  #sendTimer = 0;
  #retryTimer = 0;
  #failures = 0;

  /** Connects to `address` and lets at least so many milliseconds pass between two messages. */
  constructor(address, leastMs) {
    super();
    this.#address = address;
    this.#leastMs = leastMs;
    window.addEventListener("online", () => this.retryNow());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.retryNow();
    });
  }

  get sequence() {
    return this.#sequence;
  }

  connect() {
    clearTimeout(this.#retryTimer);
    this.#tell("status", { status: this.#failures ? "gone" : "connecting", wait_s: 0 });
    const socket = new WebSocket(this.#address);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#failures = 0;
      this.#tell("status", { status: "open" });
      this.#flush();
    };
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#closed(socket, code, reason);
    this.#socket = socket;
  }

  /** Try at once instead of after the wait. */
  retryNow() {
    if (this.#socket?.readyState === WebSocket.CLOSED) this.connect();
  }

  /** Ask for `prompt` with `settings`; of several within a moment the last is sent. */
  ask(prompt, settings) {
    this.#waiting = { prompt, settings };
    clearTimeout(this.#sendTimer);
    const wait = this.#sentAt + this.#leastMs - performance.now();
    if (wait <= 0) this.#flush();
    else this.#sendTimer = setTimeout(() => this.#flush(), wait);
  }

  #flush() {
    if (!this.#waiting || this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#sentAt = performance.now();
    this.#sequence += 1;
    this.#socket.send(toJson({ sequence: this.#sequence, ...this.#waiting }));
    this.#tell("asked", { sequence: this.#sequence, at: this.#sentAt });
  }

  #receive(data) {
    if (typeof data === "string") this.#tell("failed", JSON.parse(data));
    else this.#tell("frame", parseFrame(data));
  }

  #closed(socket, code, reason) {
    if (socket !== this.#socket) return;
    const wait_s = WAITS_S[Math.min(this.#failures, WAITS_S.length - 1)];
    this.#failures += 1;
    this.#tell("status", { status: "gone", reason: code === BUSY ? reason : "", wait_s });
    this.#retryTimer = setTimeout(() => this.connect(), 1000 * wait_s);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
