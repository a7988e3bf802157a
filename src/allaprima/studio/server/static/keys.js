// The keyboard. Shortcuts are held with Alt or Ctrl, so that they work while one types; any letter leads to the prompt.

import { byId, el } from "./dom.js";

const TEXT = "input:not([type=range], [type=radio]), textarea, select";
const MAC = /^(Mac|iP)/.test(navigator.platform);

/**
 * Listen for `shortcuts`: [{keys, code, does, run, ctrl}], and show them in the help.
 * `code` is a KeyboardEvent.code, held with Alt, or with Ctrl or Command where `ctrl` says so. On a Mac Option is Alt,
 * and where one types it writes letters; Control and Option together do not.
 */
export function listen(shortcuts) {
  const help = byId("help");
  byId("shortcuts").replaceChildren(
    ...shortcuts.flatMap(({ keys, does }) => [
      el("dt", {}, ...keys.flatMap(named).map((key) => el("kbd", {}, key))),
      el("dd", {}, does),
    ]),
  );
  for (const node of document.querySelectorAll("[title*='Alt+']")) {
    node.title = node.title.replace("Alt", named("Alt").join("+"));
  }
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
    if (typing && isWritten(event)) return;
    const chosen = shortcuts.find((one) => matches(one, event));
    if (chosen && (chosen.always || !document.querySelector("dialog[open]"))) {
      event.preventDefault();
      chosen.run();
    } else if (isLetter(event) && !typing && !document.querySelector("dialog[open]")) {
      byId("prompt").focus(); // and the letter lands in it
    }
  });
}

function named(key) {
  return MAC && key === "Alt" ? ["Control", "Option"] : [key];
}

function matches({ code, ctrl }, event) {
  if (event.code !== code) return false;
  if (ctrl) return (event.ctrlKey || event.metaKey) && !event.altKey;
  return event.altKey && (MAC || !event.ctrlKey) && !event.metaKey; // elsewhere Ctrl and Alt are AltGr
}

/** Whether Option makes another letter of the key here, as ł of L on a Polish keyboard, or an accent for the next. */
function isWritten({ key, code, altKey, ctrlKey, metaKey }) {
  if (!MAC || !altKey || ctrlKey || metaKey) return false;
  return key === "Dead" || (key.length === 1 && `Key${key.toUpperCase()}` !== code);
}

function isLetter(event) {
  return event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey && !event.altKey;
}
