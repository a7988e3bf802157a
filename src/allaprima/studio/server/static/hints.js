// What can be said about a prompt before it is painted. Pure functions.

const JUDGEMENTS = {
  beautiful: "soft morning light, a wide valley",
  pretty: "pink blossoms, a blue sky",
  amazing: "fog between tall trees",
  stunning: "low sun behind the hills",
  gorgeous: "golden light on wet stone",
  awesome: "a storm cloud over the sea",
  wonderful: "lanterns above a narrow street",
  perfect: "even light, a plain ground",
  nice: "a red scarf, a warm lamp",
  breathtaking: "a cliff above the clouds",
  magnificent: "a tall tower, banners in the wind",
  incredible: "a whale among the stars",
  beauty: "a calm face, light from one side",
  chaos: "papers in the air, a tilted table",
  freedom: "a bird over open water",
  happiness: "a child laughing, arms in the air",
  masterpiece: "oil on canvas, visible brush strokes",
  美丽: "晨光，薄雾，远山",
  漂亮: "红裙，白墙，一束阳光",
  好看: "红裙，白墙，一束阳光",
  惊艳: "逆光，金色的云",
  完美: "素净的背景，柔和的光",
  震撼: "悬崖，翻滚的云海",
  唯美: "晨光，薄雾，远山",
};
const AT_ODDS = [
  [["realistic", "photorealistic", "photo"], ["cartoon", "anime", "pixel art"]],
  [["at night", "midnight"], ["at noon", "sunny", "in daylight"]],
  [["black and white", "monochrome"], ["colorful", "vivid colors"]],
];
const HAN = /\p{Script=Han}/u;

/** Return a hint {text, word} for `prompt` on `base`, or null. */
export function hintFor(prompt, base) {
  if (base.english_only && HAN.test(prompt)) {
    return { text: "This base reads only English, and Chinese is noise to it." };
  }
  for (const [word, better] of Object.entries(JUDGEMENTS)) {
    if (!contains(prompt, word)) continue;
    const chinese = HAN.test(word);
    const text = chinese
      ? `“${word}”画不出来。写看得见的，例如：${better}。`
      : `Nobody can draw “${word}”. Try what one sees: ${better}.`;
    return { text, word, language: chinese ? "zh" : "en" };
  }
  for (const [some, others] of AT_ODDS) {
    const one = some.find((word) => contains(prompt, word));
    const other = others.find((word) => contains(prompt, word));
    if (one && other) return { text: `“${one}” and “${other}” pull two ways. Keep the one you mean.` };
  }
  return null;
}

/** Whether `prompt` holds `word`, as a word of its own. */
export function contains(prompt, word) {
  if (HAN.test(word)) return prompt.includes(word);
  return new RegExp(`(?<![\\p{L}\\p{N}])${escape(word)}(?![\\p{L}\\p{N}])`, "iu").test(prompt);
}

export function escape(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
