// What survives a reload: names, job ids and previews. One item a picture, so that tabs do not overwrite each other.

const PREFIX = "topthree:";
const MOST = 50;

// An upload that is under way ends with its tab, and is remembered there only. A browser that keeps nothing is fine.
export function keep(picture) {
  const { key, id, name, added, seconds, thumbnail } = picture;
  forget(picture);
  // What was canceled has no result; what is gone or unknown was told, and would be told at every reload.
  if (picture.state === "canceled" || (picture.state === "failed" && (!id || [404, 410].includes(picture.status)))) return;
  attempt(() => {
    (id ? localStorage : sessionStorage).setItem(PREFIX + key, JSON.stringify({ id, name, added, seconds, thumbnail }));
    for (const entry of entries(localStorage).slice(0, -MOST)) localStorage.removeItem(PREFIX + entry.key);
  });
}

export function forget({ key }) {
  attempt(() => {
    localStorage.removeItem(PREFIX + key);
    sessionStorage.removeItem(PREFIX + key);
  });
}

// The oldest first.
export function remembered() {
  const found = [];
  attempt(() => found.push(...entries(localStorage)));
  attempt(() => found.push(...entries(sessionStorage)));
  return found.sort((a, b) => a.added - b.added);
}

function entries(storage) {
  return Object.keys(storage)
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => ({ ...JSON.parse(storage.getItem(name)), key: name.slice(PREFIX.length) }))
    .sort((a, b) => a.added - b.added);
}

function attempt(action) {
  try {
    action();
  } catch { /* forbidden, full or damaged: nothing depends on it */ }
}
