// The number of jobs done in each minute, as bars: failed ones on top of succeeded ones.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 100;

export function drawGraph(svg, { succeeded, failed }) {
  const peak = Math.max(1, ...succeeded.map((count, minute) => count + failed[minute]));
  const scaled = (count) => (count / peak) * HEIGHT;
  const bars = (heights, feet) => heights.map((height, minute) => bar(minute, scaled(height), scaled(feet[minute]))).join("");
  svg.setAttribute("viewBox", `0 0 ${succeeded.length} ${HEIGHT}`);
  svg.replaceChildren(
    path("done", bars(succeeded, succeeded.map(() => 0))),
    path("lost", bars(failed, succeeded)),
  );
}

// A bar of at least one unit, so that a single failure among thousands of jobs is seen.
function bar(minute, height, foot) {
  if (!height) return "";
  const top = Math.max(0, HEIGHT - foot - Math.max(height, 1));
  return `M${minute} ${HEIGHT - foot}V${top.toFixed(2)}h.9V${(HEIGHT - foot).toFixed(2)}z`;
}

function path(name, d) {
  const element = document.createElementNS(SVG, "path");
  element.setAttribute("class", name);
  element.setAttribute("d", d);
  return element;
}
