// Seeds go up to 2^63 - 1, JavaScript counts to 2^53 - 1. A larger one is held as its digits, and is a number again in
// what is sent.

const LARGEST = 2n ** 63n - 1n;

/** Return the seed that `text` says, or null if it says none. */
export function readSeed(text) {
  if (!/^\d{1,19}$/.test(text) || BigInt(text) > LARGEST) return null;
  return held(String(BigInt(text)));
}

function held(digits) {
  return Number.isSafeInteger(Number(digits)) ? Number(digits) : digits;
}

export function fromJson(text) {
  return JSON.parse(text, (key, value, context) => (key === "seed" && context?.source ? held(context.source) : value));
}

export function toJson(value) {
  const isHeld = (key, one) => key === "seed" && typeof one === "string" && readSeed(one) === one;
  return JSON.stringify(value, (key, one) => (isHeld(key, one) ? JSON.rawJSON(one) : one));
}
