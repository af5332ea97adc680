// Asks for the state of the service every few seconds while the tab is visible, and draws it.

import { sentence } from "../service.js";
import * as service from "./requests.js";
import { draw } from "./view.js";

const EVERY_MS = 3000;
const element = (id) => document.getElementById(id);
let asking = false;

async function look() {
  if (asking || document.hidden) return;
  asking = true;
  const answer = await service.status();
  asking = false;
  // What is shown is old while the service does not answer.
  element("state").disabled = answer.status !== 200;
  if (answer.status === 200) {
    draw(answer.body, { retry, cancel });
    say("notice", answer.body.refusal ?? "");
    element("updated").textContent = `Updated ${new Date().toLocaleTimeString()}`;
  } else {
    say("notice", sentence(answer));
  }
}

async function retry(failure) {
  await act(service.retry(failure.id), ({ id }) => `Retried as ${id}.`);
}

async function cancel({ id }) {
  if (confirm(`Cancel the job ${id}? Its picture is deleted.`)) await act(service.cancel(id), () => `Canceled ${id}.`);
}

async function act(answering, told) {
  element("refusal").textContent = "";
  const answer = await answering;
  if (answer.status === 202 || answer.status === 204) element("announcer").textContent = told(answer.body);
  else element("refusal").textContent = sentence(answer);
  await look();
}

// Sets only what changes: screen readers announce the notice whenever it is set.
function say(id, text) {
  if (element(id).textContent !== text) element(id).textContent = text;
}

setInterval(look, EVERY_MS);
document.addEventListener("visibilitychange", look);
look();
