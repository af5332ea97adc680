// The API key, where the service wants one: asked for once, kept as long as the tab.

const NAME = "topthree-key";
let asking = null;

export function current() {
  try {
    return sessionStorage.getItem(NAME) ?? "";
  } catch {
    return "";
  }
}

// Resolves when there is another key than the `refused` one.
export function ask(refused) {
  if (current() !== refused) return Promise.resolve();
  asking ??= new Promise((resolve) => {
    const form = document.getElementById("key-form");
    const input = document.getElementById("key");
    form.hidden = false;
    input.focus();
    form.onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem(NAME, input.value.trim());
      input.value = "";
      form.hidden = true;
      asking = null;
      resolve();
    };
  });
  return asking;
}
