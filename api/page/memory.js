// Stores names, job ids and previews across reloads. One item per picture, so that tabs do not overwrite each other.

const PREFIX = "topthree:";
const MOST = 50;

// An unfinished upload ends with its tab, so it is stored for that tab only. The page also works without storage.
export function keep(picture) {
  const { key, id, name, added, seconds, thumbnail } = picture;
  forget(picture);
  // Do not store canceled pictures, nor failed ones without a record: a reload could only repeat the same message.
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
