// Kept pictures: found by their words, opened again with everything they were painted from.

import { getJson, remove, within } from "./api.js";
import { byId, el, fileName, icon } from "./dom.js";
import { state } from "./state.js";

const PAGE = 48;
const SEARCH_MS = 160;

export class Gallery {
  #dialog = byId("gallery");
  #grid = byId("pictures");
  #more = byId("more");
  #search = byId("search");
  #next = null;
  #total = 0;
  #turn = 0;
  #timer = 0;
  #jobs;

  constructor(jobs) {
    this.#jobs = jobs;
    byId("open-gallery").addEventListener("click", () => this.open());
    this.#more.addEventListener("click", () => this.#load(false));
    this.#search.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#load(true), SEARCH_MS);
    });
    jobs.addEventListener("kept", () => this.#dialog.open && this.#load(true));
  }

  toggle() {
    if (this.#dialog.open) this.#dialog.close();
    else this.open();
  }

  open() {
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#search.focus();
    return this.#load(true);
  }

  async #load(anew) {
    const turn = ++this.#turn;
    const asked = new URLSearchParams({ query: this.#search.value, limit: PAGE });
    if (!anew && this.#next) asked.set("before", this.#next);
    let page;
    try {
      page = await getJson(`/api/gallery?${asked}`);
    } catch (error) {
      this.#say(error.message);
      return;
    }
    if (turn !== this.#turn) return; // a newer search was made meanwhile
    if (anew) this.#grid.replaceChildren();
    this.#grid.append(...page.pictures.map((entry) => this.#card(entry)));
    this.#next = page.next;
    this.#more.hidden = !page.next;
    this.#total = page.total;
    this.#grid.hidden = !this.#grid.childElementCount;
    this.#say(this.#count());
  }

  #count() {
    const searched = this.#search.value.trim();
    if (this.#total) return `${this.#total} ${searched ? "found" : "kept"}`;
    return searched ? "No picture has these words." : "Nothing is kept yet. Keep a picture and it hangs here.";
  }

  #say(text) {
    byId("gallery-said").textContent = text;
  }

  #card(entry) {
    const { prompt, seed, steps, width, height } = entry.request;
    const size = { width: 256, height: Math.round((256 * height) / width) };
    const image = el("img", { src: within(entry.thumbnail), alt: prompt, loading: "lazy", decoding: "async", ...size });
    const open = el("button", {
      type: "button", class: "picture", title: "Open with everything it was painted from",
      onclick: () => this.#open(entry),
    }, image);
    const facts = `${steps} ${steps === 1 ? "step" : "steps"} · seed ${seed}`;
    const caption = el("figcaption", {},
      el("span", { class: "caption-prompt" }, prompt), el("span", { class: "caption-facts" }, facts));
    const save = el("a", {
      class: "button plain", href: within(entry.url), download: fileName(prompt, "png"),
      title: "Download", "aria-label": `Download: ${prompt}`,
    }, icon("download"));
    const actions = el("div", { class: "kept-actions" }, save, this.#deleter(entry, () => figure));
    const figure = el("figure", { class: "kept" }, open, caption, actions);
    return figure;
  }

  /** A first press asks, a second deletes; looking elsewhere takes the question back. */
  #deleter(entry, figure) {
    const { prompt } = entry.request;
    const names = { title: "Delete", "aria-label": `Delete: ${prompt}` };
    const button = el("button", { type: "button", class: "plain", ...names }, icon("trash"));
    const calm = () => {
      if (!button.classList.contains("sure")) return;
      button.classList.remove("sure");
      button.setAttribute("aria-label", `Delete: ${prompt}`);
      button.replaceChildren(icon("trash"));
      this.#say(this.#count());
    };
    button.addEventListener("blur", calm);
    button.addEventListener("click", async () => {
      if (!button.classList.contains("sure")) {
        button.classList.add("sure");
        button.setAttribute("aria-label", `Delete for good? ${prompt}`);
        button.replaceChildren("Delete for good?");
        this.#say("Press again to delete for good.");
        return;
      }
      try {
        await remove(`/api/gallery/${entry.id}`);
        this.#jobs.forget(entry.id);
        this.#takeDown(figure());
      } catch (error) {
        calm();
        this.#say(error.message);
      }
    });
    return button;
  }

  /** Take a deleted picture down; where one goes on from there is beside it. */
  #takeDown(figure) {
    const beside = figure.nextElementSibling ?? figure.previousElementSibling;
    (beside?.querySelector(".picture") ?? this.#search).focus();
    figure.remove();
    this.#total -= 1;
    this.#say(`Deleted. ${this.#count()}`);
    if (!beside) this.#load(true);
  }

  #open(entry) {
    const { prompt, ...settings } = entry.request;
    state.restore({ prompt, settings });
    this.#dialog.close();
    byId("prompt").focus();
  }
}
