// How many labels are shown, and in which order the pictures are. This browser remembers both.

import { firstLevel } from "./labels.js";

const NAME = "topthree-view";
const byName = new Intl.Collator(undefined, { numeric: true });
const newest = (a, b) => b.added - a.added;
const ORDERS = {
  newest,
  name: (a, b) => byName.compare(a.name, b.name) || newest(a, b),
  confidence: (a, b) => firstLevel(b) - firstLevel(a) || newest(a, b),
};
const element = (id) => document.getElementById(id);

export class View {
  constructor(changed) {
    const kept = remembered();
    for (const id of ["top", "order"]) {
      if ([...element(id).options].some(({ value }) => value === kept[id])) element(id).value = kept[id];
      element(id).addEventListener("change", () => {
        remember({ top: element("top").value, order: element("order").value });
        changed();
      });
    }
  }

  get top() {
    return Number(element("top").value);
  }

  // A comparison of two pictures.
  get order() {
    return ORDERS[element("order").value];
  }
}

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(NAME)) ?? {};
  } catch {
    return {}; // storage is blocked or damaged
  }
}

function remember(values) {
  try {
    localStorage.setItem(NAME, JSON.stringify(values));
  } catch { /* storage is blocked or full: the choice holds until the page is closed */ }
}
