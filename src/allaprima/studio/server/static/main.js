// Where the parts of the page meet.

import { getHealth, getJson } from "./api.js";
import { Compare } from "./compare.js";
import { announce, byId, download, fileName } from "./dom.js";
import { Easel } from "./easel.js";
import { Flipbook } from "./flipbook.js";
import { Gallery } from "./gallery.js";
import { hintFor } from "./hints.js";
import { History } from "./history.js";
import { Jobs } from "./jobs.js";
import { listen } from "./keys.js";
import { LiveSocket } from "./live.js";
import { Numbers } from "./numbers.js";
import { Prompt } from "./prompt.js";
import { showSettings } from "./settings.js";
import { showShelf } from "./shelf.js";
import { showStarters } from "./starters.js";
import { state } from "./state.js";
import { showConnection, showPalette, showTheme } from "./surroundings.js";

const RETRY_MS = 2000;
const LATE_MS = 300; // a studio that is ready answers sooner
const SAY_MS = 900;
const RESERVE = 6; // asks for a sixth of the messages that the server takes before it closes a socket

async function begin() {
  const config = await reach();
  const easel = new Easel(byId("picture"));
  const address = new URL("live", location.href).href.replace(/^http/, "ws");
  const live = new LiveSocket(address, (RESERVE * 1000) / config.caps.messages_per_s);
  const history = new History();
  const flipbook = new Flipbook(config.caps.flipbook);
  const numbers = new Numbers();
  const jobs = new Jobs();
  const gallery = new Gallery(jobs);
  const compare = new Compare(history);
  const prompt = new Prompt(config.caps.prompt_chars);

  showConnection(live);
  const palette = showPalette();
  showTheme();
  paint({ easel, live, history, flipbook, numbers, prompt });
  const early = byId("prompt").value; // typed before the studio had answered
  state.begin(config);
  if (early.trim()) state.setPrompt(early);
  showSettings();
  showStarters(() => prompt.focus());
  const acts = actions({ easel, history, flipbook, jobs, compare, prompt });
  // A socket that is refused does not say why; a route does, and `send` leads to the login where the token is missing.
  live.addEventListener("status", ({ detail }) => detail.wait_s && getJson("/api/config").catch(() => {}));
  listen(shortcuts({ ...acts, history, gallery, numbers, compare, palette, prompt }));
  live.connect();
  await showShelf((message) => prompt.say(message, "trouble"));
}

/** Ask what there is until the studio answers, which it does once its base is loaded. */
async function reach() {
  for (;;) {
    let waits = true;
    const late = setTimeout(async () => {
      const { status } = await getHealth();
      if (waits && status === "loading") showConnection.say("connecting", "Loading; type, it paints in a moment");
    }, LATE_MS);
    try {
      return await getJson("/api/config");
    } catch (error) {
      showConnection.say("gone", error.message);
      await new Promise((done) => setTimeout(done, RETRY_MS));
    } finally {
      waits = false;
      clearTimeout(late);
    }
  }
}

/** Changes of the state go to the socket, frames from the socket to the canvas. */
function paint({ easel, live, history, flipbook, numbers, prompt }) {
  const figure = byId("easel");
  let emptied = 0; // frames up to this sequence number belong to a prompt that was cleared
  let saying = 0;

  state.addEventListener("change", ({ detail }) => {
    const blank = !state.prompt.trim();
    live.ask(state.prompt, state.settings);
    history.stir();
    if (detail.prompt || detail.settings) prompt.hint(hintFor(state.prompt, state.base));
    figure.style.setProperty("--ratio", `${state.settings.width} / ${state.settings.height}`);
    figure.style.setProperty("--across", state.settings.width / state.settings.height);
    figure.toggleAttribute("data-empty", blank);
    figure.setAttribute("aria-busy", String(!blank));
    for (const id of ["save", "finish", "keep"]) byId(id).disabled = blank;
    if (blank) {
      easel.clear();
      prompt.settle();
      prompt.remark([]);
      byId("picture").setAttribute("aria-label", "Nothing is painted yet");
    }
  });
  live.addEventListener("asked", ({ detail }) => {
    if (!state.prompt.trim()) emptied = detail.sequence;
    numbers.asked(detail.sequence, detail.at);
  });
  live.addEventListener("frame", ({ detail }) => {
    if (detail.header.sequence > emptied && state.prompt.trim()) easel.offer(detail);
  });
  live.addEventListener("failed", ({ detail }) => {
    if (detail.sequence < live.sequence && detail.sequence) return;
    figure.setAttribute("aria-busy", "false");
    prompt.say(detail.message, "trouble");
  });
  easel.addEventListener("shown", ({ detail: { header, jpeg } }) => {
    numbers.shown(header);
    flipbook.note(header, jpeg);
    if (header.sequence !== live.sequence) return;
    if (header.final) figure.setAttribute("aria-busy", "false");
    prompt.settle();
    prompt.remark(header.remarks ?? []);
    history.note(header, jpeg);
    clearTimeout(saying);
    saying = setTimeout(() => {
      byId("picture").setAttribute("aria-label", `Picture of: ${header.prompt}`);
      announce(`Painted: ${header.prompt}`);
    }, SAY_MS);
  });
}

/** What the buttons under the picture do. */
function actions({ flipbook, history, jobs, prompt, compare }) {
  const blank = () => !state.prompt.trim();
  const acts = {
    keep: () => blank() || jobs.keep(state.snapshot()),
    save: () => blank() || jobs.keep(state.snapshot(), { saves: true }),
    finish: () => {
      const { steps, guidance, live } = state.base;
      const moment = state.snapshot();
      // What lets the base paint in few steps spoils many.
      const isQuick = ({ name }) => live.loras.some((quick) => quick.name === name);
      moment.settings.loras = moment.settings.loras.filter((lora) => !isQuick(lora));
      if (live.loras.length && moment.settings.schedule === live.schedule) moment.settings.schedule = null;
      return blank() || jobs.keep(moment, { steps, guidance, title: "Finishing" });
    },
    reroll: () => state.reroll(),
    makeFlipbook: async () => {
      if (!flipbook.pages) return prompt.say("Type first; the flipbook shows what was painted.", "hint");
      try {
        download(await flipbook.make(), fileName(history.entries.at(-1)?.prompt ?? "flipbook", "webp"));
        announce("The flipbook was downloaded.");
      } catch (error) {
        prompt.say(error.message, "trouble");
      }
    },
  };
  jobs.addEventListener("already", () => prompt.say("Already kept.", "hint"));
  byId("keep").addEventListener("click", acts.keep);
  byId("save").addEventListener("click", acts.save);
  byId("finish").addEventListener("click", acts.finish);
  byId("flipbook").addEventListener("click", acts.makeFlipbook);
  byId("clear-history").addEventListener("click", () => {
    compare.stop();
    history.clear();
    flipbook.clear();
    prompt.focus();
  });
  return acts;
}

function shortcuts({ keep, save, finish, reroll, makeFlipbook, history, gallery, numbers, compare, palette, prompt }) {
  return [
    { keys: ["Ctrl", "Enter"], code: "Enter", ctrl: true, does: "Keep in the gallery", run: keep },
    { keys: ["Alt", "Enter"], code: "Enter", does: "Finish at the base’s full number of steps", run: finish },
    { keys: ["Alt", "S"], code: "KeyS", does: "Download as PNG, with its request", run: save },
    { keys: ["Alt", "R"], code: "KeyR", does: "Another seed", run: reroll },
    { keys: ["Alt", "L"], code: "KeyL", does: "Lock or unlock the seed", run: () => state.setLocked(!state.locked) },
    { keys: ["Alt", "["], code: "BracketLeft", does: "The state before", run: () => history.step(-1) },
    { keys: ["Alt", "]"], code: "BracketRight", does: "The state after", run: () => history.step(1) },
    { keys: ["Alt", "C"], code: "KeyC", does: "Compare two", run: () => compare.toggle() },
    { keys: ["Alt", "B"], code: "KeyB", does: "Flipbook of the session", run: makeFlipbook },
    { keys: ["Alt", "G"], code: "KeyG", does: "Gallery", run: () => gallery.toggle(), always: true },
    { keys: ["Alt", "P"], code: "KeyP", does: "Palette", run: () => palette.toggle() },
    { keys: ["Alt", "N"], code: "KeyN", does: "Frames a second and latency", run: () => numbers.toggle() },
    { keys: ["Alt", "X"], code: "KeyX", does: "Clear the prompt", run: () => (state.setPrompt(""), prompt.focus()) },
    { keys: ["?"], code: "", does: "This help; F1 while typing", run: () => {} },
  ];
}

begin();
