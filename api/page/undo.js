// The offer to undo "Clear finished" or the removal of a group. Until it ends, the pictures are only hidden.

import { pictureCount } from "./counts.js";

const OFFERED_MS = 20000;
const element = (id) => document.getElementById(id);

export class Undo {
  #pictures = [];
  #timer;
  #restore;
  #finish;

  // `restore` and `finish` get the removed pictures: one of them is called for each offer.
  constructor(restore, finish) {
    this.#restore = restore;
    this.#finish = finish;
    element("undo").addEventListener("click", () => this.#end(this.#restore));
    element("undo").addEventListener("blur", () => this.#wait());
    addEventListener("pagehide", () => this.#end(this.#finish));
  }

  offer(pictures) {
    this.#end(this.#finish);
    this.#pictures = pictures;
    element("cleared").textContent = `${pictureCount(pictures.length)} removed.`;
    element("undo-offer").hidden = false;
    element("undo").focus();
    this.#wait();
  }

  // Never ends while the button has the focus: some people need more time.
  #wait() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (document.activeElement !== element("undo")) this.#end(this.#finish);
    }, OFFERED_MS);
  }

  #end(then) {
    clearTimeout(this.#timer);
    const pictures = this.#pictures;
    this.#pictures = [];
    element("undo-offer").hidden = true;
    if (pictures.length) then(pictures);
  }
}
