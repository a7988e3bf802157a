// Words to begin with: subject, place, light, style, in the order that models answer to best. Choosing one puts it into
// the prompt, in place of what was there of its kind.

import { byId, el } from "./dom.js";
import { contains, escape } from "./hints.js";
import { state } from "./state.js";

// What Vignette was trained to paint; it has one style, so weather and things worn take that place.
const VIGNETTE = {
  Subject: ["a cat", "a lion", "a fox", "a rabbit", "an owl", "a red bus", "a castle", "a sailboat", "two dogs", "a woman with curly hair", "an old man with a beard"],
  Place: ["on a rooftop", "on a beach", "in a forest", "in a city", "by a lake", "in the mountains", "in a meadow", "in space", "on a stage", "in a harbor"],
  Light: ["at dawn", "in daylight", "at sunset", "at night"],
  Weather: ["under a clear sky", "in the rain", "in the snow", "in the fog"],
  Wearing: ["wearing sunglasses", "wearing a top hat", "wearing a crown", "wearing a scarf", "wearing headphones"],
};
const OTHERS = {
  Subject: ["a vintage robot", "a glass vase, cracked surface", "a mountain lake", "portrait of a woman, laughing", "a lighthouse", "a fox", "a bowl of ramen"],
  Place: ["in a rainy Tokyo alley", "on a rooftop", "in a pine forest", "in a quiet library", "on a windy cliff", "minimalist background"],
  Light: ["dawn light", "golden hour", "neon reflections", "studio softbox", "moonlight", "refracting sunlight"],
  Style: ["cinematic lighting, synthwave", "steampunk, brass and steam", "watercolor on paper", "ink wash painting", "oil on canvas", "studio photo", "shallow depth of field, Kodak Portra 400"],
};

export function startersFor(family) {
  return family === "vignette" ? VIGNETTE : OTHERS;
}

/** Return `prompt` with `phrase` in it, in place of another of `kind`; without it, if it was there. */
export function choose(prompt, phrase, kind, kinds) {
  const phrases = kinds[kind];
  const there = [...phrases].sort((a, b) => b.length - a.length).find((one) => contains(prompt, one));
  if (there === phrase) return tidy(prompt.replace(pattern(phrase), ""));
  if (there) return tidy(prompt.replace(pattern(there), phrase));
  if (kind === "Subject") return tidy(prompt.trim() ? `${phrase}, ${prompt}` : phrase);
  const joint = /^(on|in|by|at|under|wearing) /.test(phrase) ? " " : ", ";
  return tidy(prompt.trim() ? `${prompt.trim()}${joint}${phrase}` : phrase);
}

function pattern(phrase) {
  return new RegExp(`(?<![\\p{L}\\p{N}])${escape(phrase)}(?![\\p{L}\\p{N}])`, "iu");
}

function tidy(text) {
  return text.replace(/\s+/g, " ").replace(/(\s*,)+/g, ",").replace(/^[\s,]+|[\s,]+$/g, "");
}

/** Show the starters and keep them in step with the prompt. */
export function showStarters(onChosen) {
  const tabs = byId("starters");
  const chips = byId("chips");
  let family = null;
  let shown = null;

  const show = (kind) => {
    const kinds = startersFor(family);
    shown = kind;
    for (const tab of tabs.children) tab.setAttribute("aria-pressed", String(tab.textContent === kind));
    chips.setAttribute("aria-label", `Words: ${kind}`);
    chips.scrollLeft = 0;
    chips.replaceChildren(
      ...kinds[kind].map((phrase) => {
        const take = () => {
          state.setPrompt(choose(state.prompt, phrase, kind, kinds));
          onChosen();
        };
        return el("button", { type: "button", class: "chip", onclick: take }, phrase);
      }),
    );
  };

  const mark = () => {
    if (state.base.family !== family) {
      family = state.base.family;
      const kinds = Object.keys(startersFor(family));
      tabs.replaceChildren(
        ...kinds.map((kind) =>
          el("button", { type: "button", class: "tab", onclick: () => (show(kind), mark()) }, kind),
        ),
      );
      show(kinds.includes(shown) ? shown : kinds[0]);
    }
    for (const chip of chips.children) {
      chip.setAttribute("aria-pressed", String(contains(state.prompt, chip.textContent)));
    }
  };
  state.addEventListener("change", mark);
  mark();
}
