// What is said about all pictures together: counts, progress, the title of the tab, and the buttons that make sense.

import { counted, countsText } from "./counts.js";

const TITLE = document.title;
const element = (id) => document.getElementById(id);

export class Overview {
  // The pictures since the last time that nothing was in progress: earlier ones would make the progress look further.
  #round = new Set();

  constructor() {
    element("only-failed").addEventListener("click", () => {
      this.#filter(element("only-failed").getAttribute("aria-pressed") === "false");
    });
  }

  draw(pictures) {
    const open = pictures.filter((picture) => !picture.ended);
    const failed = counted(pictures, "failed");
    element("summary").textContent = countsText(pictures);
    document.title = open.length ? `(${open.length}) ${TITLE}` : TITLE;
    element("shelf").hidden = pictures.length === 0;
    element("start").hidden = pictures.length > 0;
    element("clear").hidden = pictures.length - open.length < 2;
    element("csv").hidden = element("all-json").hidden = counted(pictures, "succeeded") + failed === 0;
    element("only-failed").hidden = failed === 0;
    if (failed === 0) this.#filter(false);
    this.#showProgress(pictures, open);
  }

  #filter(on) {
    element("only-failed").setAttribute("aria-pressed", on);
    element("cards").classList.toggle("only-failed", on);
  }

  #showProgress(pictures, open) {
    const round = open.length ? pictures.filter((picture) => !picture.ended || this.#round.has(picture)) : [];
    this.#round = new Set(round);
    element("overall").hidden = round.length < 2;
    element("overall").max = Math.max(round.length, 1);
    element("overall").value = round.length - open.length;
  }
}
