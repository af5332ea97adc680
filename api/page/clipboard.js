// Copies text. `navigator.clipboard` needs TLS, and a phone on the local network opens this page without it.

const SHOWN_MS = 2000;

// Copies the text, and says on the button and to screen readers whether that worked.
export async function copyFrom(button, text) {
  const told = (await copy(text)) ? "Copied" : "Not copied";
  button.dataset.told = told;
  document.getElementById("announcer").textContent = `${told}.`;
  setTimeout(() => delete button.dataset.told, SHOWN_MS);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text);
  }
}

function copySelected(text) {
  const focused = document.activeElement;
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  focused.focus();
  return copied;
}
