// Shows pictures that were added together as one group: a heading that folds it, progress, and actions for all of them.

import { copyFrom } from "./clipboard.js";
import { counted, countsText, pictureCount } from "./counts.js";

export class GroupCard {
  #pictures = [];

  // `actions` are { end, download, json }; each is called with the pictures of the group.
  constructor(group, actions) {
    this.group = group;
    this.element = document.getElementById("group").content.firstElementChild.cloneNode(true);
    this.list = this.#part("cards");
    this.#connect();
    const act = (name, action) => this.#part(name).addEventListener("click", () => action(this.#pictures));
    act("group-csv", (pictures) => actions.download("csv", pictures, group.folder));
    act("group-json", (pictures) => actions.download("json", pictures, group.folder));
    act("group-copy", (pictures) => copyFrom(this.#part("group-copy"), actions.json(pictures)));
    act("group-end", actions.end);
    this.#part("fold").addEventListener("click", () => this.#fold(!this.list.hidden));
  }

  // `pictures` are those of the group that are shown on the page.
  draw(pictures) {
    this.#pictures = pictures;
    const ended = pictures.filter((picture) => picture.ended).length;
    const results = counted(pictures, "succeeded") + counted(pictures, "failed");
    const name = this.#name();
    this.element.hidden = pictures.length === 0;
    this.#part("group-name").textContent = name;
    this.#part("group-counts").textContent = countsText(pictures);
    this.#part("group-counts").classList.toggle("bad", counted(pictures, "failed") > 0);
    this.#part("group-progress").hidden = ended === pictures.length;
    this.#part("group-progress").max = Math.max(pictures.length, 1);
    this.#part("group-progress").value = ended;
    this.#part("group-progress").setAttribute("aria-label", `Progress of ${name}`);
    for (const each of ["group-copy", "group-csv", "group-json"]) this.#part(each).hidden = results === 0;
    this.#button("group-end", ended === pictures.length ? "Remove all" : "Cancel all", name);
    this.#button("group-copy", "Copy JSON", name);
    this.#button("group-csv", "Download CSV", name);
    this.#button("group-json", "Download JSON", name);
  }

  #part(name) {
    return this.element.querySelector(`.${name}`);
  }

  #connect() {
    const { key, added } = this.group;
    this.list.id = `pictures-${key}`;
    this.#part("group-title").id = `group-${key}`;
    this.#part("group-section").setAttribute("aria-labelledby", `group-${key}`);
    this.#part("fold").setAttribute("aria-controls", this.list.id);
    this.#part("group-time").dateTime = new Date(added).toISOString();
    this.#part("group-time").textContent = timeText(new Date(added));
  }

  #name() {
    const { folder, size } = this.group;
    const left = this.#pictures.length;
    // Fewer if some were removed, or after a reload, because the browser does not remember them all.
    const count = left < size ? `${left} of ${pictureCount(size)}` : pictureCount(left);
    return folder ? `${folder}: ${count}` : count;
  }

  #button(name, word, group) {
    const button = this.#part(name);
    button.textContent = word;
    button.setAttribute("aria-label", `${word}, ${group}`);
  }

  #fold(folded) {
    this.list.hidden = folded;
    this.#part("fold").setAttribute("aria-expanded", !folded);
  }
}

function timeText(added) {
  const time = added.toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
  if (added.toDateString() === new Date().toDateString()) return time;
  return `${added.toLocaleDateString([], { day: "numeric", month: "short" })}, ${time}`;
}
