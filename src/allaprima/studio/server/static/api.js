// The server's routes, with its own sentences as errors.

import { fromJson, toJson } from "./seeds.js";

export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** An address of the studio's as one relative to the page, which may lie under a proxy's path. */
export const within = (address) => address.replace(/^\/(?!\/)/, "");

const GONE = "The studio is not answering.";

async function send(path, options) {
  let response;
  try {
    response = await fetch(within(path), options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(GONE, 0);
  }
  if (response.status === 401) location.assign("login");
  if (!response.ok) throw new ApiError(await readProblem(response), response.status);
  return response;
}

async function readProblem(response) {
  try {
    const body = await response.json();
    return body.error?.message ?? body.detail ?? `The studio answered ${response.status}.`;
  } catch {
    return `The studio answered ${response.status}.`;
  }
}

export async function getJson(path) {
  return fromJson(await (await send(path)).text());
}

/** Whether the studio paints: {status: "ok", "loading" or "stopped"}. */
export async function getHealth() {
  try {
    return await (await fetch(within("/healthz"))).json();
  } catch {
    return { status: "stopped" };
  }
}

export function postJson(path, body, signal) {
  const headers = { "content-type": "application/json" };
  return send(path, { method: "POST", headers, body: toJson(body), signal });
}

export function remove(path) {
  return send(path, { method: "DELETE" });
}

/** Yield [event, data] from an answer in server-sent events. */
export async function* readEvents(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const event = /^event: (.*)$/m.exec(block)?.[1] ?? "message";
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (data !== undefined) yield [event, JSON.parse(data)];
    }
  }
}
