// The line one types into, and the sentence under it.

import { byId, el, sentences } from "./dom.js";
import { state } from "./state.js";

export class Prompt {
  #field = byId("prompt");
  #said = byId("said");
  #hint = null;
  #trouble = null;
  #remarks = [];

  constructor(mostChars) {
    this.#field.maxLength = mostChars;
    this.#field.addEventListener("input", (event) => this.#typed(event));
    // What an input method shows before its word is chosen is not the prompt yet.
    this.#field.addEventListener("compositionend", () => this.#take());
    this.#field.addEventListener("keydown", (event) => {
      const held = event.ctrlKey || event.metaKey || event.altKey;
      if (event.key === "Enter" && !event.isComposing && !held) event.preventDefault();
    });
    window.addEventListener("resize", () => this.#grow());
    state.addEventListener("change", () => this.#show());
  }

  focus() {
    this.#field.focus();
  }

  /**
   * Say a sentence of `kind` "trouble" or "hint" under the prompt; it stays until a picture comes or the prompt is
   * cleared.
   */
  say(text, kind) {
    this.#trouble = { text, kind };
    this.#write();
  }

  /** What was said is over. */
  settle() {
    if (!this.#trouble) return;
    this.#trouble = null;
    this.#write();
  }

  hint(hint) {
    if (hint?.text === this.#hint?.text) return;
    this.#hint = hint;
    this.#write();
  }

  /** What the picture that is seen does not honour, a sentence each; none clears it. */
  remark(remarks) {
    if (remarks.join() === this.#remarks.join()) return;
    this.#remarks = remarks;
    this.#write();
  }

  #typed(event) {
    if (!event.isComposing) this.#take();
  }

  #take() {
    state.setPrompt(this.#field.value);
  }

  #show() {
    if (this.#field.value !== state.prompt) this.#field.value = state.prompt;
    this.#grow();
  }

  #grow() {
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight}px`;
  }

  #write() {
    const remark = this.#remarks.length ? { text: sentences(this.#remarks), kind: "hint" } : null;
    const now = this.#trouble ?? remark ?? (this.#hint && { ...this.#hint, kind: "hint" });
    this.#said.dataset.kind = now?.kind ?? "";
    this.#said.replaceChildren(...(now ? [el("span", { lang: now.language ?? "en" }, now.text)] : []));
  }
}
