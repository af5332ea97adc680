// The files of a drop, with the pictures of dropped folders.

// Resolves to { files, skipped, folder }: `skipped` is the number of files in folders that are not pictures or cannot be
// read, `folder` the names of the folders if nothing else was dropped.
export async function droppedFiles(transfer) {
  // Now, because the browser empties the list of items when this event is over.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return { files: [...transfer.files], skipped: 0, folder: "" };
  const onlyFolders = entries.every((entry) => entry.isDirectory);
  const found = { files: [], skipped: 0, folder: onlyFolders ? entries.map(({ name }) => name).join(", ") : "" };
  for (const entry of entries) await collect(entry, found, false);
  return found;
}

async function collect(entry, found, inFolder) {
  try {
    if (entry.isDirectory) {
      for (const each of await children(entry)) await collect(each, found, true);
    } else {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      if (inFolder && !isPicture(file)) found.skipped += 1;
      else found.files.push(file);
    }
  } catch {
    found.skipped += 1;
  }
}

// A folder is read in parts; an empty one is the end.
async function children(folder) {
  const reader = folder.createReader();
  const all = [];
  for (;;) {
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (part.length === 0) return all.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
    all.push(...part);
  }
}

function isPicture({ name, type }) {
  const suffixes = document.getElementById("files").accept.split(",").filter((each) => each.startsWith("."));
  const known = type.startsWith("image/") || suffixes.some((suffix) => name.toLowerCase().endsWith(suffix));
  // Systems put hidden files with the suffixes of pictures into folders.
  return known && !name.startsWith(".");
}
