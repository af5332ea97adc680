// The pictures on the page: their cards, in groups if they were added together, in the order that the person wants.

import { Card } from "./card.js";
import { GroupCard } from "./group_card.js";

export class Shelf {
  #cards = new Map();
  #groups = new Map();
  #list = document.getElementById("cards");
  #view;
  #actions;

  // `actions` are the functions behind the buttons of cards and groups.
  constructor(view, actions) {
    this.#view = view;
    this.#actions = actions;
  }

  // In the order of the page, without the hidden ones.
  get pictures() {
    const places = new Map([...this.#cards].map(([picture, { element }]) => [element, picture]));
    return [...this.#list.querySelectorAll(".card:not([hidden])")].map((element) => places.get(element));
  }

  put(picture) {
    const card = new Card(picture, this.#view, this.#actions.card);
    this.#cards.set(picture, card);
    this.#listOf(picture).prepend(card.element);
    picture.addEventListener("change", () => card.render());
  }

  hide(picture, hidden) {
    this.#cards.get(picture).element.hidden = hidden;
  }

  // The keyboard focus moves from the card to the next one, else to `elsewhere`.
  remove(picture, elsewhere) {
    const { element } = this.#cards.get(picture);
    const shown = [...this.#list.querySelectorAll(".card")].filter((each) => each.getClientRects().length);
    const place = shown.indexOf(element);
    const neighbour = shown[place + 1] ?? shown[place - 1];
    if (element.contains(document.activeElement)) (neighbour?.querySelector(".end") ?? elsewhere).focus();
    element.remove();
    this.#cards.delete(picture);
    this.#dropEmptyGroups();
  }

  // Draws the groups, as their pictures have changed.
  draw() {
    const { pictures } = this;
    for (const [key, card] of this.#groups) card.draw(pictures.filter(({ group }) => group?.key === key));
  }

  // Sorts the pictures; a group stands where its first picture would.
  arrange() {
    const focused = document.activeElement;
    const pictures = [...this.#cards.keys()].sort(this.#view.order);
    place(this.#list, new Set(pictures.map((picture) => this.#groupOf(picture)?.element ?? this.#elementOf(picture))));
    for (const [key, { list }] of this.#groups) {
      place(list, pictures.filter(({ group }) => group?.key === key).map((picture) => this.#elementOf(picture)));
    }
    // An element that is moved loses the focus.
    if (document.activeElement !== focused) focused.focus({ preventScroll: true });
  }

  // Scrolls to the pictures if the first one is below the edge of the window, as on a phone. The focus stays.
  reveal() {
    const first = this.#list.querySelector(".card:not([hidden])");
    if (first.getBoundingClientRect().bottom > innerHeight) document.getElementById("shelf").scrollIntoView();
  }

  // Draws the cards, as another number of labels is wanted.
  render() {
    for (const card of this.#cards.values()) card.render();
  }

  #elementOf(picture) {
    return this.#cards.get(picture).element;
  }

  #groupOf({ group }) {
    return group && this.#groups.get(group.key);
  }

  #listOf(picture) {
    const { group } = picture;
    if (!group) return this.#list;
    if (!this.#groups.has(group.key)) {
      const card = new GroupCard(group, this.#actions.group);
      this.#groups.set(group.key, card);
      this.#list.prepend(card.element);
    }
    return this.#groups.get(group.key).list;
  }

  #dropEmptyGroups() {
    for (const [key, { element, list }] of this.#groups) {
      if (list.children.length) continue;
      element.remove();
      this.#groups.delete(key);
    }
  }
}

// Moves only what is not in its place.
function place(list, elements) {
  let next = list.firstElementChild;
  for (const element of elements) {
    if (element === next) next = next.nextElementSibling;
    else list.insertBefore(element, next);
  }
}
