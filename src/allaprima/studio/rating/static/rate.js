// Pairs one after the other: a key is a vote, and the next pair stands there when it is saved.

const byId = (id) => document.getElementById(id);
const VOTES = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "tie", " ": "tie" };
const UNDO = new Set(["Backspace", "u", "U", "z", "Z"]);

let pair = null;
let busy = false;
let ended = false;

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The program that keeps the votes does not answer: this vote is not saved. Start it again and reload.");
  }
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error?.message ?? `The answer was ${response.status}.`);
  return answer;
}

/** Do one thing at a time; a key that comes meanwhile is not a vote on a pair that nobody has seen. */
async function alone(work) {
  if (busy) return;
  busy = true;
  try {
    byId("said").textContent = "";
    await work();
  } catch (error) {
    byId("said").textContent = error.message;
  } finally {
    busy = false;
  }
}

async function show(state) {
  byId("progress").max = Math.max(1, state.total);
  byId("progress").value = state.done;
  byId("count").textContent = `${state.done} of ${state.total}`;
  pair = state.pairs[0] ?? null;
  if (pair === null) return finish();
  ended = false;
  showOnly("rating");
  await Promise.all([load("left", pair.left), load("right", pair.right)]);
  byId("prompt").textContent = pair.prompt ?? "";
  byId("rating").dataset.pair = pair.number;
  for (const next of state.pairs.slice(1)) for (const side of ["left", "right"]) new Image().src = next[side];
}

function showOnly(name) {
  for (const part of ["rating", "end"]) byId(part).hidden = part !== name;
  for (const key of document.querySelectorAll("[data-for]")) key.hidden = key.dataset.for !== name;
}

/** Both pictures change at once: one that is there sooner would be seen longer. */
async function load(side, address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  image.id = side;
  image.alt = `The ${side} picture`;
  byId(side).parentElement.classList.remove("chosen");
  byId(side).replaceWith(image);
}

async function vote(choice) {
  for (const side of ["left", "right"]) byId(side).parentElement.classList.toggle("chosen", choice === side);
  await show(await ask("api/votes", { pair: pair.number, vote: choice }));
}

async function finish() {
  const results = await ask("api/results");
  ended = true;
  pair = null;
  showOnly("end");
  byId("verdict").textContent = verdict(results);
  byId("standings").replaceChildren(head(), ...results.standings.map(row));
}

function verdict({ standings, votes }) {
  const [best] = standings;
  if (votes === 0) return "No vote was given.";
  const apart = best.score.low > 50;
  return apart ? `${best.name} is preferred.` : `${votes} votes do not tell which is better.`;
}

function cell(kind, tag, ...children) {
  const node = document.createElement(tag);
  node.className = kind;
  node.append(...children);
  return node;
}

function head() {
  const row = document.createElement("tr");
  row.append(...["Rated", "", "Preferred", "Won, tied, lost"].map((text, at) => {
    const node = cell(at > 1 ? "figure" : "", "th", text);
    node.scope = "col";
    return node;
  }));
  return row;
}

function row({ name, score, wins, ties, losses }) {
  const percent = (value) => `${value.toFixed(0)} %`;
  const bar = cell("bar", "span", document.createElement("i"), document.createElement("b"));
  const [range, point] = bar.children;
  range.style.insetInlineStart = `${score.low}%`;
  range.style.inlineSize = `${score.high - score.low}%`;
  point.style.insetInlineStart = `${score.value}%`;
  bar.setAttribute("aria-hidden", "true");
  const interval = document.createElement("span");
  interval.textContent = ` (${score.low.toFixed(0)} to ${score.high.toFixed(0)})`;
  const node = document.createElement("tr");
  node.append(
    cell("name", "td", name), cell("scale", "td", bar), cell("figure", "td", percent(score.value), interval),
    cell("figure", "td", `${wins}, ${ties}, ${losses}`),
  );
  return node;
}

addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const choice = VOTES[event.key];
  if (choice !== undefined && pair !== null && !ended) {
    event.preventDefault();
    alone(() => vote(choice));
  } else if (UNDO.has(event.key)) {
    event.preventDefault();
    alone(async () => show(await ask("api/undo", {})));
  } else if (event.key === "Escape" && ended) {
    alone(async () => show(await ask("api/state")));
  } else if (event.key === "f" || event.key === "F") {
    alone(async () => {
      if (!ended) return finish();
      await ask("api/finish", {});
      byId("verdict").textContent += " The rating is saved; this page may be closed.";
    });
  }
});

alone(async () => show(await ask("api/state")));
