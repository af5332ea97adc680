// How many of some pictures are in which state, in words.

export function counted(pictures, state) {
  return pictures.filter((picture) => picture.state === state).length;
}

export function countsText(pictures) {
  const open = pictures.filter((picture) => !picture.ended).length;
  const parts = [
    [counted(pictures, "succeeded"), "done"], [open, "in progress"],
    [counted(pictures, "failed"), "failed"], [counted(pictures, "canceled"), "canceled"],
  ];
  return parts.filter(([number]) => number).map((part) => part.join(" ")).join(", ");
}

export function pictureCount(number) {
  return number === 1 ? "1 picture" : `${number} pictures`;
}
