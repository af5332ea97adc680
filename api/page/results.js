// All results as one file: CSV with the columns of `topthree classify --format csv`, or JSON.

import { predictions } from "./card.js";

const NEWLINE = "\r\n";
// Spreadsheets run cells that start with these as formulas, and names of files come from anywhere.
const FORMULA = /^[=+\-@\t\r]/;

export function asJson(pictures) {
  return `${JSON.stringify(pictures.map(entry), null, 2)}\n`;
}

export function asCsv(pictures) {
  const most = Math.max(3, ...pictures.map((picture) => labels(picture).length));
  const places = Array.from({ length: most }, (_, place) => [`label_${place + 1}`, `confidence_${place + 1}`]);
  const header = ["file", ...places.flat(), "model", "digest", "error"];
  const rows = pictures.map((picture) => {
    const cells = labels(picture).flatMap(({ label, level }) => [label, level]);
    const { name, digest } = picture.record?.model ?? { name: "", digest: "" };
    return [picture.name, ...cells, ...Array(2 * most - cells.length).fill(""), name, digest, picture.problem];
  });
  return [header, ...rows].map((row) => row.map(cell).join(",") + NEWLINE).join("");
}

export function download(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  // The download has begun by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function labels({ record }) {
  return record ? predictions(record) : [];
}

function entry({ name, state, record, problem }) {
  return record ? { file: name, ...record } : { file: name, status: state, problem: { detail: problem } };
}

function cell(value) {
  if (typeof value === "number") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : value;
  return `"${text.replaceAll('"', '""')}"`;
}
