// Makes previews one at a time, because drawing a large picture takes much memory.

const SIDE = 176;
const MOST_CHARACTERS = 24000;
let last = Promise.resolve();

// Resolves to a data URL, or "" if this browser cannot draw the file (HEIC and TIFF in most browsers).
export function makeThumbnail(file) {
  last = last.then(() => draw(file)).catch(() => "");
  return last;
}

async function draw(file) {
  const bitmap = await createImageBitmap(file);
  const side = Math.min(bitmap.width, bitmap.height);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, SIDE, SIDE);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, SIDE, SIDE);
  bitmap.close();
  const url = canvas.toDataURL("image/jpeg", 0.7);
  return url.length > MOST_CHARACTERS ? canvas.toDataURL("image/jpeg", 0.3) : url;
}
