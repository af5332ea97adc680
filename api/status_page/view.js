// Draws the state of the service. Text from the service is only ever set as text, never as HTML.

import { drawGraph } from "./graph.js";

const element = (id) => document.getElementById(id);
const number = new Intl.NumberFormat();
const drawn = {};

export function draw(status, { retry, cancel }) {
  element("state").hidden = false;
  changed("numbers", numbersOf(status), (numbers) => element("numbers").replaceChildren(...numbers.map(asNumber)));
  changed("ended", status.ended, drawEnded);
  changed("workers", status.workers, drawWorkers);
  changed("failures", status.failures ?? null, (failures) => drawFailures(failures, retry));
  drawOldest(status, cancel);
  element("access").textContent = accessOf(status);
}

// Calls `redraw` only if the value has changed, so that the focus and the place of a screen reader stay.
function changed(name, value, redraw) {
  const text = JSON.stringify(value);
  if (drawn[name] === text) return;
  drawn[name] = text;
  redraw(value);
}

function numbersOf({ jobs, ended, batches, webhooks }) {
  return [
    ["Waiting", number.format(jobs.queued)],
    ["Running", number.format(jobs.running)],
    ["Age of the oldest", duration(jobs.oldest_seconds)],
    ["Done in the last full minute", number.format(ended.succeeded.at(-2) + ended.failed.at(-2))],
    ["Failed recently", number.format(jobs.failed)],
    ["Open batches", number.format(batches.open)],
    ["Open webhooks", number.format(webhooks.open)],
    ["Webhooks given up", number.format(webhooks.given_up)],
  ];
}

function asNumber([name, value]) {
  const pair = document.createElement("div");
  const term = document.createElement("dt");
  const definition = document.createElement("dd");
  term.textContent = name;
  definition.textContent = value;
  pair.append(term, definition);
  return pair;
}

function drawEnded(ended) {
  const done = ended.succeeded.map((count, minute) => count + ended.failed[minute]);
  const failed = ended.failed.reduce((sum, count) => sum + count, 0);
  const [peak, all] = [Math.max(...done), done.reduce((sum, count) => sum + count, 0)].map((each) => number.format(each));
  drawGraph(element("graph"), ended);
  element("peak").textContent = `Done per minute: at most ${peak}. Failed ones are on top.`;
  const told = `Jobs done per minute over the last three hours: at most ${peak}, ${all} in all`;
  element("graph").setAttribute("aria-label", `${told}, ${number.format(failed)} of them failed.`);
}

function drawWorkers(workers) {
  element("no-workers").hidden = workers.length > 0;
  element("workers").replaceChildren(...workers.map((worker) => {
    const row = fromTemplate("worker");
    part(row, "who").textContent = worker.name;
    part(row, "what").textContent = `${worker.engine} · ${worker.model} (${worker.digest.slice(0, 12)})`;
    part(row, "busy").textContent = busy(worker);
    return row;
  }));
}

// With TensorFlow, a worker runs more jobs than it has processes.
function busy({ running, children }) {
  const processes = `${children} ${children === 1 ? "process" : "processes"}`;
  if (running === undefined) return processes;
  return running > children ? `${running} running, ${processes}` : `${running} of ${children} busy`;
}

function drawFailures(failures, retry) {
  element("failures-section").hidden = !failures;
  element("no-failures").hidden = !!failures?.length;
  const focused = document.activeElement?.dataset?.job;
  element("failures").replaceChildren(...(failures ?? []).map((failure) => asFailure(failure, retry)));
  if (focused) (element("failures").querySelector(`[data-job="${focused}"]:not([hidden])`) ?? element("failures-title")).focus();
}

function asFailure(failure, retry) {
  const row = fromTemplate("failure");
  part(row, "who").textContent = `${failure.title}, ${moment(failure.finished)}`;
  part(row, "why").textContent = failure.detail ?? "";
  part(row, "why").hidden = !failure.detail;
  part(row, "what").textContent = about(failure);
  const button = part(row, "retry");
  button.hidden = !failure.retryable;
  button.dataset.job = failure.id ?? "";
  button.setAttribute("aria-label", `Retry ${failure.id}`);
  button.addEventListener("click", () => retry(failure));
  return row;
}

function about({ id, owner, worker, attempts, poison }) {
  return [
    id && `Job ${id}`,
    owner && `of ${owner}`,
    worker && `on ${worker}`,
    attempts > 1 && `${attempts} attempts`,
    poison && "its process died at every attempt",
  ].filter(Boolean).join(" · ");
}

function drawOldest({ oldest, jobs }, cancel) {
  const hadFocus = document.activeElement === element("cancel");
  element("oldest").hidden = !oldest;
  if (oldest) {
    element("oldest-id").textContent = oldest.id;
    element("oldest-state").textContent = `${oldest.status}, ${duration(jobs.oldest_seconds)} old`;
    element("cancel").onclick = () => cancel(oldest);
  } else if (hadFocus) {
    element("jobs-title").focus();
  }
}

function accessOf({ may_act: mayAct, failures }) {
  if (mayAct) return "";
  return failures
    ? "Jobs can be retried and canceled from the service's own machine, at http://localhost, or with an operator's API key."
    : "This API key is not an operator's: it sees numbers only.";
}

function duration(seconds) {
  if (!seconds) return "–";
  if (seconds < 120) return `${Math.ceil(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h`;
}

function moment(text) {
  const then = new Date(text);
  return then.toDateString() === new Date().toDateString() ? then.toLocaleTimeString() : then.toLocaleString();
}

function fromTemplate(id) {
  return element(id).content.firstElementChild.cloneNode(true);
}

function part(row, name) {
  return row.querySelector(`.${name}`);
}
