// Shows which model runs, and says so if no worker is running or the service accepts no pictures.

import * as service from "./service.js";

const EVERY_MS = 10000;
const NO_WORKER = "No worker is running. You can add pictures: they are kept, and classified when a worker starts.";

// Calls `back` when the service is ready again.
export function watchHealth(back) {
  let away = false;
  const look = async () => {
    if (document.hidden) return;
    const answer = await service.health();
    show(answer);
    if (away && answer.status === 200) back();
    away = answer.status !== 200;
  };
  setInterval(look, EVERY_MS);
  document.addEventListener("visibilitychange", look);
  look();
}

function show(answer) {
  const models = new Set(answer.body.workers?.map(named));
  // While no worker is running, the last known model stays.
  if (models.size) say("model", `Model: ${[...models].join(", ")}`);
  say("notice", notice(answer));
}

function named({ model, labels }) {
  return labels ? `${model}, which knows ${labels.toLocaleString()} things` : model;
}

function notice({ status, body }) {
  if (status === 200) return body.workers?.length ? "" : NO_WORKER;
  return [0, 503].includes(status) ? service.sentence({ status, body }) : "";
}

// Sets only what changes: screen readers announce the notice whenever it is set.
function say(id, text) {
  const element = document.getElementById(id);
  if (element.textContent !== text) element.textContent = text;
}
