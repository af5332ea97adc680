// Stores names, job ids and previews across reloads. One item per picture, so that tabs do not overwrite each other.

const PREFIX = "topthree:";
const MOST = 50;

// An unfinished upload ends with its tab, so it is stored for that tab only. The page also works without storage.
export function keep(picture) {
  const { key, id, name, added, seconds, thumbnail, group, problem, status } = picture;
  forget(picture);
  // A result that is gone is reported once.
  if (picture.state === "canceled" || [404, 410].includes(status)) return;
  const storage = id || picture.state === "failed" ? localStorage : sessionStorage;
  attempt(() => {
    const entry = { id, name, added, seconds, thumbnail, group, problem, status };
    storage.setItem(PREFIX + key, JSON.stringify(entry));
    for (const each of entries(localStorage).slice(0, -MOST)) localStorage.removeItem(PREFIX + each.key);
  });
}

export function forget({ key }) {
  attempt(() => {
    localStorage.removeItem(PREFIX + key);
    sessionStorage.removeItem(PREFIX + key);
  });
}

// Oldest first.
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
  } catch { /* storage is blocked, full or damaged: the page works without it */ }
}
