// Receives files that are chosen, photographed, dropped or pasted.

import { droppedFiles } from "./folder.js";

// Calls `add` with the files of each choice, drop or paste, and the name of the folder if one was dropped.
export function listenForFiles(add) {
  const refusal = document.getElementById("refusal");
  const take = (list, skipped = 0, folder = "") => {
    const files = [...list];
    const notes = [files.length ? "" : "No picture file found.", skipped ? skippedText(skipped) : ""];
    refusal.textContent = notes.join(" ").trim();
    if (files.length) add(files, folder);
  };
  for (const [button, input] of [["choose", "files"], ["photograph", "camera"]]) {
    const chooser = document.getElementById(input);
    document.getElementById(button).addEventListener("click", () => chooser.click());
    chooser.addEventListener("change", () => {
      take(chooser.files);
      chooser.value = ""; // so that the same file can be chosen again
    });
  }
  // `dragleave` fires for every element that the pointer leaves; only outside the page is `relatedTarget` null.
  const mark = (on) => document.body.classList.toggle("dropping", on);
  addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(true);
  });
  addEventListener("dragleave", (event) => mark(event.relatedTarget !== null));
  addEventListener("drop", async (event) => {
    event.preventDefault();
    mark(false);
    const { files, skipped, folder } = await droppedFiles(event.dataTransfer);
    take(files, skipped, folder);
  });
  addEventListener("paste", (event) => {
    if (event.target.closest?.("input")) return;
    take(event.clipboardData.files);
  });
}

function skippedText(count) {
  return count === 1 ? "1 file that is not a picture was skipped." : `${count} files that are not pictures were skipped.`;
}
