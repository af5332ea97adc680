// The API key, if the service requires one: the user enters it once, and it is kept until the tab is closed.

// Does the service itself require a key? A proxy before it may require one even so.
export const REQUIRED = "requiresKey" in document.documentElement.dataset;
const NAME = "topthree-key";
// Other characters cannot be sent in a header.
const POSSIBLE = /^[!-~]+$/;
const element = (id) => document.getElementById(id);
let kept = ""; // used if the browser blocks storage; lost when the page is closed
let asking = null;

export function current() {
  try {
    return sessionStorage.getItem(NAME) ?? kept;
  } catch {
    return kept;
  }
}

// Resolves when the user has entered a key other than `refused`; `sentence` is the reason for the refusal.
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
        element("key-refusal").textContent = "This is not an API key: it contains invalid characters.";
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
  } catch { /* storage is blocked or full: `kept` has the key */ }
}
