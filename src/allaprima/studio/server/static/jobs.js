// Whole pictures: kept in the gallery as they are seen, or finished at the base's own number of steps.

import { ApiError, getJson, postJson, readEvents, within } from "./api.js";
import { announce, byId, download, el, fileName, icon, sentences } from "./dom.js";
import { likeness, state } from "./state.js";

const REST_MS = 6000;

/** Events: "kept" {entry}, "already" when nothing had to be painted. */
export class Jobs extends EventTarget {
  #tray = byId("tray");
  #kept = new Map();
  #coming = new Map();

  /**
   * Paint `moment` as a picture of the gallery and return its entry, or null if that failed or was cancelled.
   * A state that is kept already, or on its way, is not painted again.
   */
  async keep(moment, { steps, guidance, title = "Keeping", saves = false } = {}) {
    const own = moment.settings;
    const settings = { ...own, steps: steps ?? own.steps, guidance: guidance ?? own.guidance };
    const key = likeness({ ...moment, settings }) + settings.quality;
    const request = { prompt: moment.prompt.trim(), ...settings };
    if (!this.#coming.has(key)) {
      this.#coming.set(key, this.#find(key, request, title).finally(() => this.#coming.delete(key)));
    }
    const entry = await this.#coming.get(key);
    if (!entry) return null;
    if (saves) download(within(entry.url), fileName(moment.prompt, "png"));
    return entry;
  }

  /** Forget a picture that was deleted. */
  forget(id) {
    for (const [key, entry] of this.#kept) if (entry.id === id) this.#kept.delete(key);
  }

  async #find(key, request, title) {
    const kept = this.#kept.get(key);
    if (kept && (await this.#isThere(kept))) {
      this.dispatchEvent(new Event("already"));
      return kept;
    }
    const entry = await this.#paint(request, title);
    if (entry) this.#kept.set(key, entry);
    return entry;
  }

  /** It may have been deleted in another window. */
  async #isThere({ id }) {
    try {
      await getJson(`/api/gallery/${id}`);
      return true;
    } catch {
      return false; // painting says what is wrong, if it is more than that
    }
  }

  async #paint(request, title) {
    const stop = new AbortController();
    const card = this.#card(request.prompt, title, () => stop.abort());
    try {
      const previews = request.steps > state.caps.live_steps;
      const response = await postJson("/api/jobs", { request, previews }, stop.signal);
      for await (const [event, data] of readEvents(response)) {
        if (event === "queued") card.say(data.position ? `${data.position} before it` : "Next", null);
        else if (event === "progress") card.step(data);
        else if (event === "done") return this.#done(card, data.pictures[0]);
        else if (event === "error") throw new ApiError(data.error.message, 500);
        else if (event === "cancelled") break;
      }
      card.close("Cancelled");
    } catch (error) {
      if (error.name === "AbortError") card.close("Cancelled");
      else card.fail(error.message);
    }
    return null;
  }

  #done(card, entry) {
    card.finish(entry);
    announce("Kept in the gallery.");
    this.dispatchEvent(new CustomEvent("kept", { detail: { entry } }));
    return entry;
  }

  #card(prompt, title, cancel) {
    const said = el("span", { class: "said" }, title);
    const bar = el("progress", { max: 1, "aria-label": title });
    const image = el("img", { class: "thumbnail", alt: "", hidden: true, width: 48, height: 48 });
    const button = closer("Cancel", cancel);
    const words = el("div", {}, el("span", { class: "job-prompt" }, prompt), said, bar);
    const node = el("li", { class: "job" }, image, words, button);
    this.#tray.append(node);
    const leave = () => setTimeout(() => node.remove(), REST_MS);
    const say = (text, share) => {
      said.textContent = text;
      if (share === null) bar.removeAttribute("value");
      else bar.value = share;
    };
    return {
      say,
      step: ({ step, total, preview }) => {
        say(`Step ${step} of ${total}`, step / total);
        if (preview) image.src = `data:image/jpeg;base64,${preview}`;
        image.hidden &&= !preview;
      },
      finish: (entry) => {
        const remarks = entry.remarks ?? [];
        say(remarks.length ? `Kept in the gallery. ${sentences(remarks)}` : "Kept in the gallery", 1);
        bar.remove();
        image.src = within(entry.thumbnail);
        image.hidden = false;
        const file = { href: within(entry.url), download: fileName(prompt, "png") };
        const names = { title: "Download", "aria-label": "Download" };
        button.replaceWith(el("a", { class: "button plain", ...file, ...names }, icon("download")));
        leave();
      },
      fail: (message) => {
        say(message, 0);
        bar.remove();
        node.classList.add("failed");
        node.setAttribute("role", "alert");
        button.replaceWith(closer("Close", () => node.remove()));
      },
      close: (text) => {
        say(text, 0);
        node.remove();
      },
    };
  }
}

function closer(name, onclick) {
  return el("button", { type: "button", class: "plain", title: name, "aria-label": name, onclick }, icon("close"));
}
