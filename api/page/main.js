// Connects the modules of the page: files become pictures, which are uploaded, watched, shown and stored.

import { megabytes } from "./amounts.js";
import { announce } from "./announcer.js";
import { Card } from "./card.js";
import { listenForExamples } from "./examples.js";
import { watchHealth } from "./health.js";
import { listenForFiles } from "./intake.js";
import * as memory from "./memory.js";
import { Picture } from "./picture.js";
import * as service from "./service.js";
import { makeThumbnail } from "./thumbnail.js";
import { Uploads } from "./uploads.js";
import { Watch } from "./watch.js";

const element = (id) => document.getElementById(id);
const maxBytes = Number(document.documentElement.dataset.maxImageBytes);
const cards = new Map();
const watch = new Watch();
const uploads = new Uploads((picture) => watch.add(picture));

function add(files) {
  const now = Date.now();
  const pictures = files.map((file, place) => new Picture({ file, name: file.name, added: now - place / 1000 }));
  for (const picture of pictures.toReversed()) show(picture);
  for (const picture of pictures) {
    memory.keep(picture);
    begin(picture);
    makeThumbnail(picture.file).then((thumbnail) => {
      picture.set({ thumbnail });
      if (cards.has(picture)) memory.keep(picture);
    });
  }
}

function begin(picture) {
  if (picture.file.size > maxBytes) {
    picture.fail(413, `This file is ${megabytes(picture.file.size)}; the limit is ${megabytes(maxBytes)}.`);
  } else {
    uploads.add(picture);
  }
}

function show(picture) {
  const card = new Card(picture, { end, again });
  cards.set(picture, card);
  element("cards").prepend(card.element);
  picture.addEventListener("change", () => card.render());
  picture.addEventListener("state", () => {
    memory.keep(picture);
    if (picture.ended) announce(picture);
    summarize();
  });
  summarize();
}

// One button cancels and removes, so that the keyboard focus stays in place.
function end(picture) {
  if (picture.ended) remove(picture);
  else picture.cancel();
}

function again(picture) {
  memory.forget(picture);
  picture.restart();
  begin(picture);
}

function remove(picture) {
  const { element: gone } = cards.get(picture);
  const neighbour = gone.nextElementSibling ?? gone.previousElementSibling;
  if (gone.contains(document.activeElement)) (neighbour?.querySelector(".end") ?? element("choose")).focus();
  gone.remove();
  cards.delete(picture);
  memory.forget(picture);
  if (picture.id && picture.state !== "canceled") service.forget(picture.id);
  summarize();
}

function summarize() {
  const pictures = [...cards.keys()];
  const count = (...states) => pictures.filter((picture) => states.includes(picture.state)).length;
  const parts = [
    [count("succeeded"), "done"],
    [count("restored", "waiting", "uploading", "queued", "running"), "in progress"],
    [count("failed"), "failed"],
    [count("canceled"), "canceled"],
  ];
  element("summary").textContent = parts.filter(([number]) => number).map((part) => part.join(" ")).join(", ");
  element("shelf").hidden = pictures.length === 0;
  element("examples").hidden = pictures.length > 0;
  element("clear").hidden = pictures.filter((picture) => picture.ended).length < 2;
}

element("limit").textContent = megabytes(maxBytes);
element("clear").addEventListener("click", () => {
  for (const picture of [...cards.keys()]) if (picture.ended) remove(picture);
  (cards.size ? element("shelf-title") : element("choose")).focus();
});
addEventListener("beforeunload", (event) => {
  // Unsent pictures are lost when the page is closed.
  if ([...cards.keys()].some((picture) => !picture.ended && !picture.id)) event.preventDefault();
});
for (const entry of memory.remembered()) {
  const picture = new Picture({ ...entry, state: "restored" });
  show(picture);
  if (picture.id) watch.add(picture);
  else picture.fail(0, "The upload was not finished when this page was closed. Choose the file again.");
}
summarize();
listenForFiles(add);
listenForExamples(add);
watchHealth();
