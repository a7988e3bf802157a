// What is to be seen: the prompt and everything else the picture depends on. Every part of the page reads it here and
// changes it here, and hears of changes by the event "change".

export const MAX_PROMPT = 1000;
export const MAX_STEPS = 8;
const KEY = "allaprima.state";

/** Where a base does not say otherwise; see `#ownOf`. */
const DEFAULTS = {
  base: "vignette",
  width: 256,
  height: 256,
  seed: 0,
  guidance: 1,
  steps: 4,
  quality: "high",
  negative_prompt: "",
  schedule: null,
  loras: [],
};

/** A seed that fits into JavaScript's whole numbers. */
export function randomSeed() {
  return crypto.getRandomValues(new Uint32Array(1))[0];
}

/** One line without control characters, as long as the server takes it, which counts code points and not their halves. */
export function cleanText(text) {
  return [...text.replace(/\p{Cc}+/gu, " ")].slice(0, MAX_PROMPT).join("");
}

class State extends EventTarget {
  prompt = "";
  settings = { ...DEFAULTS };
  locked = false;
  bases = [];

  /** Take the bases from the server, then what was left here the last time, as far as it still fits. */
  begin(bases) {
    this.bases = bases;
    this.settings = { ...DEFAULTS, ...this.#ownOf(bases[0]), base: bases[0].name, seed: randomSeed() };
    const left = readStored();
    if (left) {
      this.prompt = cleanText(String(left.prompt ?? ""));
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
    prompt = cleanText(prompt);
    if (prompt === this.prompt) return;
    const begins = this.prompt.trim() !== "" && prompt.trim() === "" && !this.locked;
    this.prompt = prompt;
    if (begins) this.settings = { ...this.settings, seed: randomSeed() };
    this.#tell({ prompt: true, settings: begins });
  }

  setSettings(patch) {
    const base = this.bases.find((one) => one.name === patch.base);
    if (base && base.name !== this.settings.base) patch = { ...this.#ownOf(base), schedule: null, ...patch };
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

  /** Put on or change a LoRA, by its card; null takes it off. Going on it brings the steps and guidance it was trained
   * for, going off the base's own. */
  setLora({ name, steps, guidance }, weight) {
    const others = this.settings.loras.filter((one) => one.name !== name);
    const at = this.settings.loras.findIndex((one) => one.name === name);
    if (weight !== null) others.splice(at < 0 ? others.length : at, 0, { name, weight });
    const turns = at < 0 || weight === null;
    const patch = { loras: others };
    if (turns && steps !== null) patch.steps = Math.min(MAX_STEPS, weight === null ? this.base.steps : steps);
    if (turns && guidance !== null) patch.guidance = weight === null ? this.base.guidance : guidance;
    this.setSettings(patch);
  }

  /** Go to another state, whole. */
  restore({ prompt, settings }) {
    this.prompt = cleanText(prompt);
    this.settings = this.#fit({ ...this.settings, ...settings });
    this.#tell({ prompt: true, settings: true });
  }

  snapshot() {
    return { prompt: this.prompt, settings: structuredClone(this.settings) };
  }

  #fit(settings) {
    const known = Object.keys(DEFAULTS);
    const fitted = Object.fromEntries(Object.entries(settings).filter(([key]) => known.includes(key)));
    const base = this.bases.find((one) => one.name === fitted.base);
    if (!base) Object.assign(fitted, this.#ownOf(this.bases[0]), { base: this.bases[0].name, schedule: null });
    fitted.steps = Math.min(MAX_STEPS, Math.max(1, Number(fitted.steps) || DEFAULTS.steps));
    return fitted;
  }

  /** What a base begins with. */
  #ownOf({ width, height, live }) {
    return { width, height, steps: live.steps, guidance: live.guidance, loras: structuredClone(live.loras) };
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
  const against = settings.guidance === 1 ? "" : settings.negative_prompt;
  const loras = settings.loras.filter((one) => one.weight !== 0);
  const { base, width, height, seed, guidance, schedule, steps } = settings;
  return JSON.stringify([prompt.trim(), base, width, height, seed, guidance, schedule, steps, against, loras]);
}

export const state = new State();
