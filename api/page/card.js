// The card of one picture. Text from files and from the service is only ever set as text, never as HTML.

import { percent } from "./amounts.js";
import * as apiKey from "./api_key.js";
import { copyFrom } from "./clipboard.js";
import { curlCommand } from "./curl.js";
import { enlarge } from "./enlarge.js";
import { predictions, shownRecord, unsure } from "./labels.js";
import { resultAddress } from "./service.js";

// Statuses with which a retry of the same bytes would fail again.
const FINAL = [400, 413, 415, 422];

export function stateText(picture) {
  switch (picture.state) {
    case "restored": return picture.note || "Loading the result";
    case "waiting": return picture.note || "Waiting to be uploaded";
    case "uploading": return picture.fraction < 1 ? `Uploading, ${Math.floor(picture.fraction * 100)}%` : "Uploaded";
    case "queued": return `${picture.position ? `Queued, number ${picture.position}` : "Queued"}. ${picture.note}`;
    case "running": return `Running. ${picture.note}`;
    case "failed": return picture.problem;
    case "canceled": return `Canceled. ${picture.note}`;
    default: return "";
  }
}

export class Card {
  #drawn = {};
  #view;

  constructor(picture, view, { end, again }) {
    this.picture = picture;
    this.#view = view;
    this.element = document.getElementById("card").content.firstElementChild.cloneNode(true);
    this.#part("name").textContent = this.#part("name").title = picture.name;
    // Below the heading of the group, or that of all pictures.
    this.#part("name").setAttribute("aria-level", picture.group ? 4 : 3);
    this.#part("preview").setAttribute("aria-label", `Enlarge ${picture.name}`);
    this.#part("preview").addEventListener("click", () => enlarge(picture));
    this.#part("end").addEventListener("click", () => end(picture));
    this.#part("again").addEventListener("click", () => {
      again(picture);
      this.#part("end").focus();
    });
    this.#copies("copy-json", "Copy the JSON of", () => this.#json());
    this.#copies("copy-curl", "Copy a curl command for", () => curlCommand(picture, view.top));
    this.render();
  }

  render() {
    const { picture } = this;
    const text = stateText(picture).trim();
    this.element.dataset.state = picture.state;
    this.#part("state").textContent = text;
    this.#part("state").hidden = !text;
    this.#changed("thumbnail", picture.thumbnail, () => this.#showPreview());
    this.#changed("record", picture.record, () => this.#showRecord());
    this.#changed("top", picture.record && this.#view.top, () => this.#showLabels());
    this.#showProgress();
    this.#showButtons();
  }

  #part(name) {
    return this.element.querySelector(`.${name}`);
  }

  #copies(name, word, write) {
    const button = this.#part(name);
    button.setAttribute("aria-label", `${word} ${this.picture.name}`);
    button.addEventListener("click", () => copyFrom(button, write()));
  }

  #json() {
    return JSON.stringify(shownRecord(this.picture.record, this.#view.top), null, 2);
  }

  #changed(name, value, draw) {
    if (value === null || this.#drawn[name] === value) return;
    this.#drawn[name] = value;
    draw();
  }

  #showPreview() {
    const { thumbnail, name } = this.picture;
    const preview = this.#part("preview");
    if (thumbnail) {
      const image = new Image();
      image.src = thumbnail;
      image.alt = "";
      preview.replaceChildren(image);
      preview.disabled = false;
    } else {
      const ending = /\.(\w{1,5})$/.exec(name)?.[1].toUpperCase() ?? "";
      preview.textContent = `${ending} no preview`.trim();
      preview.removeAttribute("aria-label");
    }
  }

  #showProgress() {
    const { state, fraction, name } = this.picture;
    const progress = this.#part("progress");
    progress.hidden = !["uploading", "queued", "running"].includes(state);
    progress.setAttribute("aria-label", `Progress of ${name}`);
    if (state === "uploading" && fraction < 1) progress.value = fraction;
    else progress.removeAttribute("value");
  }

  #showLabels() {
    const rows = predictions(this.picture.record, this.#view.top).map(({ label, level }, place) => {
      const row = document.getElementById("label").content.firstElementChild.cloneNode(true);
      row.querySelector(".label").textContent = label;
      row.querySelector(".level").textContent = percent(level);
      row.querySelector(".unsure").hidden = place > 0 || !unsure(level);
      row.querySelector(".fill").style.width = `${level * 100}%`;
      return row;
    });
    this.#part("labels").replaceChildren(...rows);
    this.#part("labels").hidden = false;
  }

  #showRecord() {
    const { record, id } = this.picture;
    this.#part("times").textContent = this.#times();
    // A link cannot send the key, so with a key it opens a copy of the record.
    const text = () => JSON.stringify(record, null, 2);
    const copy = () => URL.createObjectURL(new Blob([text()], { type: "application/json" }));
    this.#part("json").href = apiKey.current() ? copy() : resultAddress(id);
    this.#part("json").setAttribute("aria-label", `JSON of ${this.picture.name}`);
    this.#part("about").hidden = false;
  }

  #times() {
    const { record, seconds } = this.picture;
    const { accepted, begun, finished } = record.times;
    const ms = (from, to) => `${Math.max(Date.parse(to) - Date.parse(from), 0)}\u00a0ms`;
    const parts = begun ? [`Queued ${ms(accepted, begun)}, ran ${ms(begun, finished)}`] : ["Cached"];
    if (begun && seconds) parts.push(`${seconds.toFixed(1)}\u00a0s total`);
    if (record.model) parts.push(record.model.name);
    return parts.join(" · ");
  }

  #showButtons() {
    const { picture } = this;
    const again = this.#part("again");
    const word = picture.ended ? "Remove" : "Cancel";
    this.#part("end").textContent = picture.ended ? "×" : word;
    this.#part("end").title = word;
    this.#part("end").setAttribute("aria-label", `${word} ${picture.name}`);
    again.hidden = !(picture.file && picture.ended && picture.state !== "succeeded" && !FINAL.includes(picture.status));
    again.setAttribute("aria-label", `Try again with ${picture.name}`);
  }
}
