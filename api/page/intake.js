// Receives files that are chosen, photographed, dropped or pasted.

export function listenForFiles(add) {
  const refusal = document.getElementById("refusal");
  const take = (list) => {
    const files = [...list];
    refusal.textContent = files.length ? "" : "No picture file found.";
    if (files.length) add(files);
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
  addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    take(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => {
    if (event.target.closest?.("input")) return;
    take(event.clipboardData.files);
  });
}
