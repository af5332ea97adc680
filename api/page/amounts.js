// Numbers as people read them.

export function percent(level) {
  return level < 0.001 ? "<0.1%" : `${(level * 100).toFixed(1)}%`;
}

// As most systems show the sizes of files: 1 MB is 1024 * 1024 bytes.
export function megabytes(bytes) {
  return `${Math.round(bytes / 104857.6) / 10 || "<0.1"} MB`;
}
