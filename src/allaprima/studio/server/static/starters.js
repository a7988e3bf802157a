// Words to begin with: subject, place, light, style, in the order that models answer to best. Choosing one puts it into
// the prompt, in place of what was there of its kind.

import { byId, el } from "./dom.js";
import { contains, escape } from "./hints.js";
import { state } from "./state.js";

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
  let base = null;
  let shown = null;

  const show = (kind) => {
    const kinds = base.starters;
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
    if (state.base !== base) {
      base = state.base;
      const kinds = Object.keys(base.starters);
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
