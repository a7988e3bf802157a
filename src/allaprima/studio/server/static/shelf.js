// The shelf of LoRAs: pictures, a switch and a weight that acts while it is moved.

import { getJson, postJson } from "./api.js";
import { byId, el, icon } from "./dom.js";
import { setRange } from "./settings.js";
import { state } from "./state.js";

const USUAL = 1;

/** Show the shelf; `onTrouble` is told what went wrong. */
export async function showShelf(onTrouble) {
  const list = byId("loras");
  const rows = new Map();

  const build = (loras) => {
    rows.clear();
    list.replaceChildren(...loras.map((lora) => makeRow(lora, rows)));
    byId("no-loras").hidden = loras.length > 0;
    byId("lora-search-row").hidden = loras.length < 9;
    state.addEventListener("change", mark); // not before: what is worn seems lost until the shelf is known
    mark();
  };

  const mark = () => {
    const worn = new Map(state.settings.loras.map((one) => [one.name, one.weight]));
    for (const name of worn.keys()) if (!rows.has(name)) list.append(makeLostRow(name, rows));
    for (const [name, row] of rows) row.show(worn.get(name));
  };

  const load = async (fetching) => {
    try {
      build((await fetching()).loras);
    } catch (error) {
      onTrouble(error.message);
    }
  };

  byId("refresh-loras").addEventListener("click", () =>
    load(async () => (await postJson("/api/loras/refresh", {})).json()),
  );
  byId("lora-search").addEventListener("input", ({ target }) => {
    const wanted = target.value.trim().toLowerCase();
    for (const [name, row] of rows) row.node.hidden = !`${name} ${row.title}`.toLowerCase().includes(wanted);
  });
  await load(() => getJson("/api/loras"));
}

function makeRow(lora, rows) {
  const number = rows.size;
  const range = el("input", {
    type: "range", min: -1, max: 2, step: 0.05, value: USUAL, id: `lora-${number}`,
    "aria-label": `Weight of ${lora.title}`,
    oninput: () => state.setLora(lora, Number(range.value)),
    ondblclick: () => state.setLora(lora, USUAL),
  });
  const weight = el("output", { class: "value", for: range.id });
  const toggle = el("button", {
    type: "button", class: "lora-switch", "aria-pressed": "false",
    onclick: () => {
      const worn = state.settings.loras.some((one) => one.name === lora.name);
      state.setLora(lora, worn ? null : USUAL);
    },
  }, thumbnail(lora), el("span", { class: "lora-title" }, lora.title), ...trainedFor(lora));
  const words = lora.trigger_words.slice(0, 6).map((word) =>
    el("button", {
      type: "button", class: "chip small", title: "Add to the prompt", onclick: () => addWord(word),
    }, word),
  );
  const report = el("a", {
    class: "link report", hidden: true, target: "_blank", rel: "noopener",
    href: `reports/${encodeURIComponent(lora.name)}`,
  }, "Report card");
  const slider = el("div", { class: "slider", hidden: true }, range, weight);
  const chips = el("div", { class: "chips", hidden: true }, ...words);
  const node = el("li", { class: "lora" }, toggle, slider, chips, report);
  const show = (value) => {
    const worn = value !== undefined;
    node.classList.toggle("worn", worn);
    toggle.setAttribute("aria-pressed", String(worn));
    slider.hidden = !worn;
    chips.hidden = !worn || !words.length;
    report.hidden = !worn || !lora.report;
    if (worn) setRange(range, value, weight, value.toFixed(2));
  };
  rows.set(lora.name, { node, show, title: lora.title });
  return node;
}

/** A LoRA that is worn but not to be had, which fails every picture: it can be taken off, and then its row goes. */
function makeLostRow(name, rows) {
  const takeOff = () => {
    state.setLora({ name, steps: null, guidance: null }, null);
    byId("refresh-loras").focus();
  };
  const title = el("span", { class: "lora-title" }, name);
  const said = el("span", { class: "lora-steps" }, "not here");
  const toggle = el("button", {
    type: "button", class: "lora-switch", "aria-pressed": "true", onclick: takeOff,
  }, blank(), title, said);
  const node = el("li", { class: "lora worn" }, toggle);
  const show = (value) => {
    if (value !== undefined) return;
    node.remove();
    rows.delete(name);
  };
  rows.set(name, { node, show, title: name });
  return node;
}

/** For how many steps it was trained, where its file says so, or what it was recognised as. */
function trainedFor({ steps, accelerator }) {
  if (steps === null) return [];
  const said = steps === 1 ? "1 step" : `${steps} steps`;
  const title = accelerator ? `Recognised by its name as ${accelerator}` : "";
  return [el("span", { class: "lora-steps", title }, accelerator ? `${accelerator}, ${said}` : said)];
}

function blank() {
  return el("span", { class: "thumbnail blank" }, icon("palette"));
}

function thumbnail(lora) {
  if (!lora.preview) return blank();
  const image = el("img", {
    class: "thumbnail", alt: "", loading: "lazy", width: 48, height: 48,
    src: `api/loras/preview?name=${encodeURIComponent(lora.name)}`,
    onerror: () => image.replaceWith(blank()),
  });
  return image;
}

function addWord(word) {
  if (!state.prompt.includes(word)) state.setPrompt(state.prompt.trim() ? `${state.prompt.trim()}, ${word}` : word);
}
