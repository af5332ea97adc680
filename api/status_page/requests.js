// Requests of the status page; each returns { status, body }, with status 0 if there was no response.

import * as apiKey from "../api_key.js";
import { sentence } from "../service.js";

// From this module's URL: the service may be below a path.
const ROOT = new URL("../..", import.meta.url);
const ANSWER_MS = 15000;

export function status() {
  return ask("GET", "status.json");
}

export function retry(id) {
  return ask("POST", `status/jobs/${id}/retry`);
}

export function cancel(id) {
  return ask("DELETE", `status/jobs/${id}`);
}

// Repeats the request with another key while the service answers 401.
async function ask(method, path) {
  for (;;) {
    const key = apiKey.current();
    const answer = await send(method, path, key ? { "X-API-Key": key } : {});
    if (answer.status !== 401) return answer;
    await apiKey.ask(key, sentence(answer));
  }
}

async function send(method, path, headers) {
  try {
    const signal = AbortSignal.timeout(ANSWER_MS);
    const response = await fetch(new URL(path, ROOT), { method, headers, signal });
    const text = await response.text();
    return { status: response.status, body: parsed(text) };
  } catch {
    return { status: 0, body: {} };
  }
}

function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch { // no body, or an error page of a proxy: the status is enough
    return {};
  }
}
