// The keyboard. Shortcuts are held with Alt or Ctrl, so that they work while one types; any letter leads to the prompt.

import { byId, el } from "./dom.js";

const TEXT = "input:not([type=range], [type=radio]), textarea, select";

/**
 * Listen for `shortcuts`: [{keys, code, does, run, ctrl}], and show them in the help.
 * `code` is a KeyboardEvent.code, held with Alt, or with Ctrl or Command where `ctrl` says so.
 */
export function listen(shortcuts) {
  const help = byId("help");
  byId("shortcuts").replaceChildren(
    ...shortcuts.flatMap(({ keys, does }) => [
      el("dt", {}, ...keys.map((key) => el("kbd", {}, key))),
      el("dd", {}, does),
    ]),
  );
  const toggleHelp = () => (help.open ? help.close() : help.showModal());
  byId("open-help").addEventListener("click", toggleHelp);

  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.defaultPrevented) return;
    const typing = event.target.matches?.(TEXT) ?? false;
    if (event.key === "F1" || (!typing && event.key === "?")) {
      event.preventDefault();
      toggleHelp();
      return;
    }
    const chosen = shortcuts.find((one) => matches(one, event));
    if (chosen && (chosen.always || !document.querySelector("dialog[open]"))) {
      event.preventDefault();
      chosen.run();
    } else if (isLetter(event) && !typing && !document.querySelector("dialog[open]")) {
      byId("prompt").focus(); // and the letter lands in it
    }
  });
}

function matches({ code, ctrl }, event) {
  if (event.code !== code) return false;
  if (ctrl) return (event.ctrlKey || event.metaKey) && !event.altKey;
  return event.altKey && !event.ctrlKey && !event.metaKey;
}

function isLetter(event) {
  return event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey && !event.altKey;
}
