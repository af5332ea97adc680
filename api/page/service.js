// Requests to the service; each returns { status, body, retryAfter, waited }, with status 0 if there was no response.

import * as apiKey from "./api_key.js";
import { MOST_LABELS } from "./labels.js";

// From this module's URL: the page's own address may lack its trailing slash.
const ROOT = new URL("..", import.meta.url);
export const UPLOAD = new URL("upload", ROOT).href;
const ANSWER_MS = 15000;
// An upload without progress is aborted after this time. The service itself requires 64 KiB every 30 s, but the last
// megabytes may stay in the operating system's send buffers for longer.
const STALLED_MS = 120000 + ANSWER_MS;
// Longest Retry-After that is honoured: quotas may be per day.
const MOST_SECONDS = 86400;
// Retries are spread over at most this time after Retry-After.
const MOST_SPREAD_SECONDS = 60;

// Sends the file; `progress` is called with the fraction sent. After the last byte the request is no longer aborted:
// its response contains the id of the job, which is needed to cancel it.
export function upload(picture, progress) {
  const form = new FormData();
  form.append("image", picture.file);
  return withKey(picture, (key) => new Promise((resolve) => {
    if (picture.signal.aborted) {
      resolve(nothing());
      return;
    }
    const request = new XMLHttpRequest();
    let timer, sent = false;
    const moved = () => {
      clearTimeout(timer);
      timer = setTimeout(() => request.abort(), STALLED_MS);
    };
    moved();
    request.open("POST", `${UPLOAD}?top=${MOST_LABELS}`);
    request.setRequestHeader("Prefer", "respond-async");
    request.setRequestHeader("Idempotency-Key", picture.key);
    for (const name in key) request.setRequestHeader(name, key[name]);
    request.upload.onprogress = (event) => {
      moved();
      progress(event.loaded / event.total);
    };
    request.upload.onload = () => { sent = true; };
    request.onload = () => resolve(
      answer(request.status, request.responseText, (name) => request.getResponseHeader(name))
    );
    request.onerror = request.onabort = () => resolve(nothing());
    request.onloadend = () => clearTimeout(timer);
    picture.signal.addEventListener("abort", () => { if (!sent) request.abort(); });
    request.send(form);
  }));
}

// Gets the state of the job; waits up to `seconds` for its end.
export function look(picture, seconds) {
  const headers = seconds ? { Prefer: `wait=${seconds}` } : {};
  return ask("GET", picture.id, headers, seconds, picture);
}

// Cancels a job, or deletes its result.
export function forget(id) {
  return ask("DELETE", id, {}, 0);
}

// Is the service ready, and which workers are running? Needs no key.
export async function health() {
  try {
    const response = await fetch(new URL("health/ready", ROOT), { signal: AbortSignal.timeout(ANSWER_MS) });
    return answer(response.status, await response.text(), (name) => response.headers.get(name));
  } catch {
    return nothing();
  }
}

// Seconds until the next try after a temporary failure, 0 if the response is final. They are spread, so that clients
// with the same Retry-After do not all return at once.
export function pauseAfter({ status, retryAfter }, failures) {
  if (![0, 408, 429, 502, 503, 504].includes(status)) return 0;
  const least = retryAfter || Math.min(2 ** failures, 15);
  return least + Math.random() * Math.min(Math.max(1, least / 2), MOST_SPREAD_SECONDS);
}

// The time of the next try in words: seconds, or the time of day if it is more than 100 s away.
export function later(seconds) {
  if (seconds < 100) return `in ${Math.ceil(seconds)} s`;
  const now = new Date();
  const then = new Date(now.getTime() + seconds * 1000);
  const time = then.toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
  return then.getDate() === now.getDate() ? `at ${time}` : `tomorrow at ${time}`;
}

export function sentence({ status, body }) {
  return body.error || body.detail || (status ? `The service answered ${status}.` : "The service cannot be reached.");
}

export function resultAddress(id) {
  return new URL(`result/${encodeURIComponent(id)}`, ROOT).href;
}

export function pause(seconds, signal) {
  return new Promise((resolve) => {
    setTimeout(resolve, signal.aborted ? 0 : seconds * 1000);
    signal.addEventListener("abort", resolve);
  });
}

function ask(method, id, headers, seconds, picture) {
  return withKey(picture, async (key) => {
    // Time out: a connection may die without an error.
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), seconds * 1000 + ANSWER_MS);
    picture?.signal.addEventListener("abort", () => stop.abort(), { signal: stop.signal });
    try {
      // `keepalive`: a result is also deleted if the page is closed at that moment.
      const options = { method, headers: { ...headers, ...key }, signal: stop.signal, keepalive: method === "DELETE" };
      const response = await fetch(resultAddress(id), options);
      return answer(response.status, await response.text(), (name) => response.headers.get(name));
    } catch {
      return nothing();
    } finally {
      clearTimeout(timer);
    }
  });
}

// Repeats the request with another key while the service answers 401; `picture`, if given, is marked as waiting.
async function withKey(picture, send) {
  for (;;) {
    const used = apiKey.current();
    const given = await send(used ? { "X-API-Key": used } : {});
    if (given.status !== 401) return given;
    picture?.hold("Waiting for the API key.");
    await apiKey.ask(used, sentence(given));
  }
}

function answer(status, text, header) {
  let body = {};
  try {
    body = JSON.parse(text) ?? {};
  } catch { /* an error page of a proxy: the status is enough */ }
  const retryAfter = Math.min(Number.parseInt(header("Retry-After"), 10) || 0, MOST_SECONDS);
  return { status, body, retryAfter, waited: /\bwait=/.test(header("Preference-Applied") ?? "") };
}

function nothing() {
  return { status: 0, body: {}, retryAfter: 0, waited: false };
}
