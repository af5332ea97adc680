// Connects the modules of the page: files become pictures, which are uploaded, watched, shown and stored.

import { megabytes } from "./amounts.js";
import { announce } from "./announcer.js";
import { copyFrom } from "./clipboard.js";
import { curlCommand } from "./curl.js";
import { listenForClosing } from "./enlarge.js";
import { listenForExamples } from "./examples.js";
import { watchHealth } from "./health.js";
import { listenForFiles } from "./intake.js";
import * as memory from "./memory.js";
import { Overview } from "./overview.js";
import { Picture, randomKey } from "./picture.js";
import * as results from "./results.js";
import * as service from "./service.js";
import { Shelf } from "./shelf.js";
import { makeThumbnail } from "./thumbnail.js";
import { Undo } from "./undo.js";
import { Uploads } from "./uploads.js";
import { View } from "./view.js";
import { Watch } from "./watch.js";

const element = (id) => document.getElementById(id);
const maxBytes = Number(document.documentElement.dataset.maxImageBytes);
const UNFINISHED = "The upload was not finished when this page was closed. Choose the file again.";
const view = new View(() => {
  shelf.render();
  shelf.arrange();
});
const shelf = new Shelf(view, {
  card: { end, again },
  group: { end: endAll, download, json: (pictures) => results.asJson(finished(pictures), view.top) },
});
const overview = new Overview();
const watch = new Watch();
const uploads = new Uploads((picture) => watch.add(picture));
const undo = new Undo(restore, (pictures) => pictures.forEach(remove));

function draw() {
  overview.draw(shelf.pictures);
  shelf.draw();
}

// Files that are added together form a group; `folder` is its name, if it has one.
function add(files, folder = "") {
  const now = Date.now();
  const first = shelf.pictures.length === 0;
  const group = files.length > 1 ? { key: randomKey(), folder, size: files.length, added: now } : null;
  const pictures = files.map(
    (file, place) => new Picture({ file, name: file.name, added: now - place / 1000, group })
  );
  for (const picture of pictures.toReversed()) show(picture);
  shelf.arrange();
  draw();
  if (first) shelf.reveal();
  for (const picture of pictures) {
    memory.keep(picture);
    begin(picture);
    makeThumbnail(picture.file).then((thumbnail) => {
      picture.set({ thumbnail });
      if (shelf.pictures.includes(picture)) memory.keep(picture);
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
  shelf.put(picture);
  picture.addEventListener("state", () => {
    memory.keep(picture);
    if (picture.ended) {
      announce(picture);
      shelf.arrange();
    }
    draw();
  });
}

// One button cancels and removes, so that the keyboard focus stays in place.
function end(picture) {
  if (picture.ended) remove(picture);
  else picture.cancel();
}

function endAll(pictures) {
  const open = pictures.filter((picture) => !picture.ended);
  for (const picture of open) picture.cancel();
  if (open.length === 0) clear(pictures);
}

function again(picture) {
  memory.forget(picture);
  picture.restart();
  begin(picture);
}

function remove(picture) {
  shelf.remove(picture, element("choose"));
  memory.forget(picture);
  if (picture.id && picture.state !== "canceled") service.forget(picture.id);
  draw();
}

function clear(pictures) {
  for (const picture of pictures) {
    shelf.hide(picture, true);
    memory.forget(picture);
  }
  draw();
  undo.offer(pictures);
}

function restore(pictures) {
  for (const picture of pictures) {
    shelf.hide(picture, false);
    memory.keep(picture);
  }
  draw();
  element("shelf-title").focus();
}

function finished(pictures) {
  return pictures.filter(({ state }) => ["succeeded", "failed"].includes(state));
}

function download(format, pictures, name = "") {
  results.download(finished(pictures), name || "topthree", format, view.top);
}

element("limit").textContent = megabytes(maxBytes);
element("command").textContent = curlCommand({ name: "picture.jpg" }, view.top);
element("copy-command").addEventListener("click", (event) => {
  copyFrom(event.currentTarget, element("command").textContent);
});
element("clear").addEventListener("click", () => clear(shelf.pictures.filter((picture) => picture.ended)));
element("csv").addEventListener("click", () => download("csv", shelf.pictures));
element("all-json").addEventListener("click", () => download("json", shelf.pictures));
addEventListener("beforeunload", (event) => {
  // Unsent pictures are lost when the page is closed.
  if (shelf.pictures.some((picture) => !picture.ended && !picture.id)) event.preventDefault();
});
for (const entry of memory.remembered()) {
  const picture = new Picture({ ...entry, state: "restored" });
  show(picture);
  if (picture.id) watch.add(picture);
  else picture.fail(entry.status ?? 0, entry.problem || UNFINISHED);
}
shelf.arrange();
draw();
listenForFiles(add);
listenForExamples(add);
listenForClosing();
watchHealth(() => {
  watch.hurry();
  uploads.hurry();
});
