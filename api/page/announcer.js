// Announces finished pictures to screen readers; several at once in one sentence.

import { percent } from "./amounts.js";
import { stateText } from "./card.js";
import { predictions, unsure } from "./labels.js";

const GATHER_MS = 700;
const MOST_TOLD = 3;
let ended = [];

export function announce(picture) {
  if (ended.length === 0) setTimeout(tell, GATHER_MS);
  ended.push(picture);
}

function tell() {
  const count = (state) => ended.filter((picture) => picture.state === state).length;
  document.getElementById("announcer").textContent = ended.length > MOST_TOLD
    ? `${ended.length} pictures finished: ${count("succeeded")} done, ${count("failed")} failed.`
    : ended.map(told).join(" ");
  ended = [];
}

function told(picture) {
  if (picture.state !== "succeeded") return `${picture.name}: ${stateText(picture)}`;
  const [{ label, level }] = predictions(picture.record, 1);
  return `${picture.name}: ${label}, ${percent(level)}${unsure(level) ? ", not sure" : ""}.`;
}
