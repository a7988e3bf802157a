// What is to be seen: the prompt and everything else the picture depends on. Every part of the page reads it here and
// changes it here, and hears of changes by the event "change".

const KEY = "allaprima.state";

/** What no base has a say in. */
const NEUTRAL = { quality: "high", negative_prompt: "" };

/** A seed that fits into JavaScript's whole numbers. */
export function randomSeed() {
  return crypto.getRandomValues(new Uint32Array(1))[0];
}

/** One line without control characters, of at most so many code points, which is how the server counts. */
export function cleanText(text, mostChars) {
  return [...text.replace(/\p{Cc}+/gu, " ")].slice(0, mostChars).join("");
}

class State extends EventTarget {
  prompt = "";
  settings = {};
  locked = false;
  bases = [];
  caps = {};

  /** Take bases and caps from the server, then what was left here the last time, as far as it still fits. */
  begin({ bases, caps }) {
    this.bases = bases;
    this.caps = caps;
    this.settings = { ...NEUTRAL, ...this.#ownOf(bases[0]), seed: randomSeed() };
    const left = readStored();
    if (left) {
      this.prompt = this.#clean(String(left.prompt ?? ""));
      this.locked = left.locked === true;
      this.settings = this.#fit({ ...this.settings, ...left.settings });
    }
    this.#tell({ prompt: true, settings: true });
  }

  get base() {
    return this.bases.find((base) => base.name === this.settings.base) ?? this.bases[0];
  }

  /** Change the prompt. With the seed unlocked, an empty one lets the next begin from other noise. */
  setPrompt(prompt) {
    prompt = this.#clean(prompt);
    if (prompt === this.prompt) return;
    const begins = this.prompt.trim() !== "" && prompt.trim() === "" && !this.locked;
    this.prompt = prompt;
    if (begins) this.settings = { ...this.settings, seed: randomSeed() };
    this.#tell({ prompt: true, settings: begins });
  }

  setSettings(patch) {
    const base = this.bases.find((one) => one.name === patch.base);
    if (base && base.name !== this.settings.base) patch = { ...this.#ownOf(base), ...patch };
    this.settings = { ...this.settings, ...patch };
    this.#tell({ settings: true });
  }

  setLocked(locked) {
    this.locked = locked;
    this.#tell({ settings: true });
  }

  reroll() {
    if (!this.locked) this.setSettings({ seed: randomSeed() });
  }

  /** Put on or change a LoRA, by its card; null takes it off. Going on it brings the steps, guidance and schedule it
   * was trained for, going off the base's own. */
  setLora({ name, steps, guidance, schedule }, weight) {
    const others = this.settings.loras.filter((one) => one.name !== name);
    const at = this.settings.loras.findIndex((one) => one.name === name);
    if (weight !== null) others.splice(at < 0 ? others.length : at, 0, { name, weight });
    const turns = at < 0 || weight === null;
    const from = weight === null ? this.base : { steps, guidance };
    const patch = { loras: others };
    if (turns && steps !== null) patch.steps = Math.min(this.caps.live_steps, from.steps);
    if (turns && guidance !== null) patch.guidance = from.guidance;
    if (turns && schedule) patch.schedule = weight === null ? null : schedule;
    this.setSettings(patch);
  }

  /** Go to another state, whole. */
  restore({ prompt, settings }) {
    this.prompt = this.#clean(prompt);
    this.settings = this.#fit({ ...this.settings, ...settings });
    this.#tell({ prompt: true, settings: true });
  }

  snapshot() {
    return { prompt: this.prompt, settings: structuredClone(this.settings) };
  }

  #fit(settings) {
    const base = this.bases.find((one) => one.name === settings.base);
    const own = this.#ownOf(base ?? this.bases[0]);
    const known = ["seed", ...Object.keys({ ...NEUTRAL, ...own })];
    const fitted = Object.fromEntries(Object.entries(settings).filter(([key]) => known.includes(key)));
    if (!base) Object.assign(fitted, own);
    fitted.steps = Math.min(this.caps.live_steps, Math.max(1, Number(fitted.steps) || own.steps));
    return fitted;
  }

  /** What a base begins with, turbo and all: the server decides it as for every request. */
  #ownOf({ live }) {
    return structuredClone(live);
  }

  #clean(prompt) {
    return cleanText(prompt, this.caps.prompt_chars);
  }

  #tell(detail) {
    try {
      localStorage.setItem(KEY, JSON.stringify({ ...this.snapshot(), locked: this.locked }));
    } catch {
      // Nothing is lost but the state after a reload.
    }
    this.dispatchEvent(new CustomEvent("change", { detail }));
  }
}

function readStored() {
  try {
    const left = JSON.parse(localStorage.getItem(KEY));
    return left && typeof left === "object" ? left : null;
  } catch {
    return null;
  }
}

/** A name for a state that is equal exactly when its pictures are. */
export function likeness({ prompt, settings }) {
  const against = settings.guidance <= 1 ? "" : settings.negative_prompt;
  const loras = settings.loras.filter((one) => one.weight !== 0);
  const { base, width, height, seed, guidance, schedule, steps } = settings;
  return JSON.stringify([prompt.trim(), base, width, height, seed, guidance, schedule, steps, against, loras]);
}

export const state = new State();
