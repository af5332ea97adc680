// Shows a picture as large as the window allows. The browser's dialog closes with Escape, and returns the focus.

import { percent } from "./amounts.js";
import { predictions } from "./labels.js";

const element = (id) => document.getElementById(id);
const ONLY_PREVIEW = "Only this small preview is kept when the page is closed.";

export function enlarge({ name, file, record, thumbnail }) {
  const [first] = record ? predictions(record, 1) : [];
  const address = file ? URL.createObjectURL(file) : thumbnail;
  element("enlarged-picture").src = address;
  element("enlarged-picture").alt = first?.label ?? "";
  element("enlarged-name").textContent = name;
  element("enlarged-label").textContent = first ? `${first.label}, ${percent(first.level)}` : "";
  element("enlarged-note").textContent = file ? "" : ONLY_PREVIEW;
  element("enlarged").addEventListener("close", () => URL.revokeObjectURL(address), { once: true });
  element("enlarged").showModal();
}

export function listenForClosing() {
  element("close").addEventListener("click", () => element("enlarged").close());
  // A click beside the picture is one on the dialog itself.
  element("enlarged").addEventListener("click", (event) => {
    if (event.target === element("enlarged")) element("enlarged").close();
  });
}
