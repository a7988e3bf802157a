// The few helpers that every module would otherwise write again.

export const byId = (id) => document.getElementById(id);

/** Make an element: el("button", { class: "chip", onclick }, "text", child). */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** One of the icons in index.html. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const use = document.createElementNS(space, "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** Save `data` (a Blob or a same-origin address) under `name`. */
export function download(data, name) {
  const own = data instanceof Blob;
  const address = own ? URL.createObjectURL(data) : data;
  const link = el("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  if (own) setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** A file name made of the prompt's first words. */
export function fileName(prompt, ending) {
  const words = prompt.normalize("NFC").match(/[\p{L}\p{N}]+/gu) ?? [];
  return `${words.join("-").slice(0, 60).toLowerCase() || "picture"}.${ending}`;
}

/** The server's remarks, which begin small and end without a stop, as a text. */
export function sentences(remarks) {
  return remarks.map((text) => `${text[0].toUpperCase()}${text.slice(1)}.`).join(" ");
}

/** Say `text` to a screen reader when it has time. */
export function announce(text) {
  byId("announcer").textContent = text;
}
