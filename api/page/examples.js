// The example pictures of the empty page: a click adds one like a file.

export function listenForExamples(add) {
  for (const button of document.querySelectorAll(".example")) {
    button.addEventListener("click", async () => {
      const refusal = document.getElementById("refusal");
      refusal.textContent = "";
      try {
        // The first picture hides the examples, so the keyboard focus has to move.
        add([await download(button.querySelector("img").src)]);
        document.getElementById("shelf-title").focus();
      } catch {
        refusal.textContent = "The example cannot be loaded: the service cannot be reached.";
      }
    });
  }
}

async function download(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`status ${response.status}`);
  return new File([await response.blob()], address.slice(address.lastIndexOf("/") + 1), { type: "image/png" });
}
