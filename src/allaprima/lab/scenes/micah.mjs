// Takes DiceBear's "micah" (Avatar Illustration System by Micah Lanier, CC BY 4.0) apart into SVG fragments.
//
// Run from a folder whose node_modules holds @dicebear/core and @dicebear/collection, or name that folder:
//
//     node micah.mjs [folder] > words/people_parts.json
//
// Every fragment keeps the package's own paths. Colours become `@name@`, and the places of one part inside
// another (glasses on the eyes, a beard on the face) become `@@name@@`, so that no JavaScript is needed later.

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const folder = resolve(process.argv[2] ?? ".", "node_modules", "@dicebear", "micah");
const load = (path) => import(pathToFileURL(resolve(folder, path)).href);
const { create, meta } = await load("lib/index.js");
const components = await load("lib/components/index.js");
const { version } = JSON.parse(readFileSync(resolve(folder, "package.json"), "utf8"));

const colors = new Proxy({}, { get: (_, name) => `@${String(name)}@` });
const slots = new Proxy({}, { get: (_, name) => ({ value: () => `@@${String(name)}@@` }) });

// Drawn with no part at all, the avatar is its bare frame: one empty group per part, in painting order.
const nobody = { pick: (_, otherwise) => otherwise, bool: () => false };
const { attributes, body } = create({ prng: nobody, options: {} });
const order = ["base", "mouth", "eyebrows", "hair", "eyes", "nose", "ears", "shirt"];
let next = 0;
const frame = body.replaceAll("></g>", () => `>@@${order[next++]}@@</g>`);
if (next !== order.length) throw new Error(`the frame has ${next} places, expected ${order.length}`);

const parts = {};
for (const [name, variants] of Object.entries(components)) {
  parts[name] = {};
  for (const [variant, draw] of Object.entries(variants)) parts[name][variant] = draw(slots, colors);
}

const source = { title: meta.title, creator: meta.creator, source: meta.source, license: meta.license, version };
process.stdout.write(JSON.stringify({ source, viewBox: attributes.viewBox, frame, parts }, null, 1) + "\n");
