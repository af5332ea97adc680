// Results of pictures as text: CSV with the columns of `topthree classify --format csv`, or JSON. `top` is the number of labels.

import { predictions, shownRecord } from "./labels.js";

const NEWLINE = "\r\n";
// Spreadsheets run cells that start with these as formulas, and names of files come from anywhere.
const FORMULA = /^[=+\-@\t\r]/;
const FORMATS = { csv: { type: "text/csv", write: asCsv }, json: { type: "application/json", write: asJson } };

export function asJson(pictures, top) {
  return `${JSON.stringify(pictures.map((picture) => entry(picture, top)), null, 2)}\n`;
}

function asCsv(pictures, top) {
  const places = Array.from({ length: top }, (_, place) => [`label_${place + 1}`, `confidence_${place + 1}`]);
  const header = ["file", ...places.flat(), "model", "digest", "error"];
  const rows = pictures.map((picture) => {
    const cells = labels(picture, top).flatMap(({ label, level }) => [label, level]);
    const { name, digest } = picture.record?.model ?? { name: "", digest: "" };
    return [picture.name, ...cells, ...Array(2 * top - cells.length).fill(""), name, digest, picture.problem];
  });
  return [header, ...rows].map((row) => row.map(cell).join(",") + NEWLINE).join("");
}

// Lets the browser save the results as `name` in one of the two formats.
export function download(pictures, name, format, top) {
  const { type, write } = FORMATS[format];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([write(pictures, top)], { type }));
  link.download = `${name}.${format}`;
  link.click();
  // The download has begun by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function labels({ record }, top) {
  return record ? predictions(record, top) : [];
}

function entry({ name, state, record, problem }, top) {
  return record ? { file: name, ...shownRecord(record, top) } : { file: name, status: state, problem: { detail: problem } };
}

function cell(value) {
  if (typeof value === "number") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : value;
  return `"${text.replaceAll('"', '""')}"`;
}
