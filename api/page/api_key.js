// The API key, where the service wants one: asked for once, kept as long as the tab.

const NAME = "topthree-key";
// Others cannot be sent in a header.
const POSSIBLE = /^[!-~]+$/;
const element = (id) => document.getElementById(id);
let kept = ""; // where the browser keeps nothing: as long as the page
let asking = null;

export function current() {
  try {
    return sessionStorage.getItem(NAME) ?? kept;
  } catch {
    return kept;
  }
}

// Resolves when there is another key than the `refused` one, of which `sentence` says what is wrong.
export function ask(refused, sentence) {
  if (current() !== refused) return Promise.resolve();
  asking ??= new Promise((resolve) => {
    element("key-form").hidden = false;
    element("key-refusal").textContent = refused && sentence;
    element("key").focus();
    element("key-form").onsubmit = (event) => {
      event.preventDefault();
      const given = element("key").value.trim();
      element("key").value = "";
      if (!POSSIBLE.test(given)) {
        element("key-refusal").textContent = "This is no API key: it has characters that no key has.";
        return;
      }
      keep(given);
      element("key-form").hidden = true;
      asking = null;
      resolve();
    };
  });
  return asking;
}

function keep(key) {
  kept = key;
  try {
    sessionStorage.setItem(NAME, key);
  } catch { /* forbidden or full: the page has it */ }
}
