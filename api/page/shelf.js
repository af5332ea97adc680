// The pictures on the page and their cards, the newest one first.

import { Card } from "./card.js";

export class Shelf {
  #cards = new Map();
  #list = document.getElementById("cards");

  // Without the hidden ones.
  get pictures() {
    return [...this.#cards.keys()].reverse().filter((picture) => !this.#cards.get(picture).element.hidden);
  }

  // `actions` are the functions behind the buttons of the card.
  put(picture, actions) {
    const card = new Card(picture, actions);
    this.#cards.set(picture, card);
    this.#list.prepend(card.element);
    picture.addEventListener("change", () => card.render());
  }

  hide(picture, hidden) {
    this.#cards.get(picture).element.hidden = hidden;
  }

  // The keyboard focus moves from the card to the next one, else to `elsewhere`.
  remove(picture, elsewhere) {
    const { element } = this.#cards.get(picture);
    const shown = [...this.#list.children].filter((each) => each.getClientRects().length);
    const place = shown.indexOf(element);
    const neighbour = shown[place + 1] ?? shown[place - 1];
    if (element.contains(document.activeElement)) (neighbour?.querySelector(".end") ?? elsewhere).focus();
    element.remove();
    this.#cards.delete(picture);
  }
}
