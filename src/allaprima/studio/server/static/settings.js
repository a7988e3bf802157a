// The palette: controls that follow the state and change it.

import { byId, el } from "./dom.js";
import { readSeed } from "./seeds.js";
import { cleanText, state } from "./state.js";

/** The sizes offered for a base: one for a base that paints one, else squares and shapes of as many pixels. */
export function sizesOf(base, { pixels, side: most }) {
  const own = [base.width, base.height];
  if (base.fixed_size) return [own];
  const to = (pixels) => Math.round(pixels / 64) * 64;
  const side = Math.max(...own);
  const shapes = [[1, 1], [1.125, 0.875], [0.875, 1.125], [1.25, 0.8], [0.8, 1.25], [1.3125, 0.75], [0.75, 1.3125]];
  const sizes = [own, [to(side / 2), to(side / 2)], [to(0.75 * side), to(0.75 * side)]];
  sizes.push(...shapes.map(([across, down]) => [to(across * side), to(down * side)]));
  const fits = ([width, height]) => width * height <= pixels && width <= most && height <= most;
  return sizes.filter((size, at) => fits(size) && sizes.findIndex((one) => String(one) === String(size)) === at);
}

function options(select, entries, chosen) {
  const wanted = entries.map(([value, label]) => `${value}\n${label}`).join("\n\n");
  if (select.dataset.entries !== wanted) {
    select.dataset.entries = wanted;
    select.replaceChildren(...entries.map(([value, label]) => el("option", { value }, label)));
  }
  select.value = chosen;
}

/** Bind the controls. */
export function showSettings() {
  const base = byId("base");
  const size = byId("size");
  const schedule = byId("schedule");
  const guidance = byId("guidance");
  const steps = byId("steps");
  const negative = byId("negative");
  const seed = byId("seed");
  const lock = byId("lock");
  const reroll = byId("reroll");

  base.addEventListener("change", () => state.setSettings({ base: base.value }));
  size.addEventListener("change", () => {
    const [width, height] = size.value.split("x").map(Number);
    state.setSettings({ width, height });
  });
  schedule.addEventListener("change", () => state.setSettings({ schedule: schedule.value || null }));
  guidance.addEventListener("input", () => state.setSettings({ guidance: Number(guidance.value) }));
  steps.addEventListener("input", () => state.setSettings({ steps: Number(steps.value) }));
  for (const radio of document.getElementsByName("quality")) {
    radio.addEventListener("change", () => state.setSettings({ quality: radio.value }));
  }
  steps.max = state.caps.live_steps;
  negative.maxLength = state.caps.prompt_chars;
  const takeNegative = () =>
    state.setSettings({ negative_prompt: cleanText(negative.value, state.caps.prompt_chars) });
  negative.addEventListener("input", (event) => event.isComposing || takeNegative());
  negative.addEventListener("compositionend", takeNegative);
  seed.addEventListener("change", () => {
    const value = readSeed(seed.value.trim());
    if (value !== null) state.setSettings({ seed: value });
    else seed.value = state.settings.seed;
  });
  lock.addEventListener("click", () => state.setLocked(!state.locked));
  reroll.addEventListener("click", () => state.reroll());

  const show = () => {
    const now = state.settings;
    options(base, state.bases.map((one) => [one.name, one.name]), now.base);
    base.disabled = state.bases.length < 2;
    showSize(now);
    const named = [...new Set([...state.base.schedules, now.schedule])].filter(Boolean);
    byId("schedule-row").hidden = !named.length;
    options(schedule, [["", "The base’s own"], ...named.map((one) => [one, one])], now.schedule ?? "");
    const cost = now.guidance <= 1 ? ", fastest" : "";
    setRange(guidance, now.guidance, byId("guidance-value"), `${now.guidance}${cost}`);
    setRange(steps, now.steps, byId("steps-value"), String(now.steps));
    for (const radio of document.getElementsByName("quality")) radio.checked = radio.value === now.quality;
    if (negative.value !== now.negative_prompt) negative.value = now.negative_prompt;
    const means = now.guidance > 1;
    negative.disabled = !means;
    byId("negative-note").style.visibility = means ? "hidden" : "visible"; // its place is kept
    if (document.activeElement !== seed) seed.value = now.seed;
    lock.setAttribute("aria-pressed", String(state.locked));
    lock.querySelector("use").setAttribute("href", state.locked ? "#i-locked" : "#i-unlocked");
    lock.title = state.locked ? "Let the seed change" : "Keep this seed";
    reroll.disabled = state.locked;
    seed.readOnly = state.locked;
  };

  const showSize = (now) => {
    const sizes = sizesOf(state.base, state.caps);
    const current = [now.width, now.height];
    if (!sizes.some((one) => String(one) === String(current))) sizes.push(current);
    const entries = sizes.map(([width, height]) => [`${width}x${height}`, `${width} × ${height}`]);
    options(size, entries, `${now.width}x${now.height}`);
    size.disabled = sizes.length < 2;
  };

  state.addEventListener("change", show);
  show();
}

/** Set a slider and what it says; the filled part of its track is drawn from --share. */
export function setRange(range, value, output, text) {
  if (Number(range.value) !== value) range.value = value;
  const share = (Number(range.value) - range.min) / (range.max - range.min);
  range.style.setProperty("--share", `${(100 * share).toFixed(1)}%`);
  range.setAttribute("aria-valuetext", text);
  output.textContent = text;
}
