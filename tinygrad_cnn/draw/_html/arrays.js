/* Arrays as payload.py describes them: small ones as numbers, large ones as heat maps. */

const LEVELS = 253; // as in payload.py
const GAP = 254;
const NOT_FINITE = 255;
const HEAT_SIDE = 192; // pixels of the longer edge of a heat map, about

/* A figure that shows a payload. */
function arrayElement(payload) {
  const figure = element("figure", { class: "array" });
  figure.append(payload.values ? numbers(payload) : heatMap(payload));
  figure.append(element("figcaption", {}, caption(payload)));
  return figure;
}

function caption(payload) {
  const parts = [payload.shape.join(" × ") || "scalar", payload.dtype];
  if (payload.heat && payload.mean !== null) {
    for (const name of ["min", "mean", "max"]) parts.push(`${name} ${formatNumber(payload[name])}`);
  }
  if (payload.nan) parts.push(`${payload.nan} NaN`);
  if (payload.inf) parts.push(`${payload.inf} infinite`);
  if (payload.note) parts.push(payload.note);
  return parts.join(" · ");
}

/* The values: one row, a matrix, or a matrix for each place in the axes before the last two. */
function numbers({ shape, values, min, max }) {
  const limit = Math.max(Math.abs(min ?? 0), Math.abs(max ?? 0));
  const [rows, columns] = [1, 1, ...shape].slice(-2);
  const leading = shape.slice(0, -2);
  if (!values.length) return element("span", { class: "muted" }, "no elements");
  if (!leading.length) return matrix(values, columns, limit);
  const slices = element("div");
  for (let start = 0; start < values.length; start += rows * columns) {
    let place = start / (rows * columns);
    const index = leading.map((_, axis) => {
      const inner = leading.slice(axis + 1).reduce((a, b) => a * b, 1);
      const i = Math.floor(place / inner);
      place -= i * inner;
      return i;
    });
    const label = element("span", {}, `[${index.join(", ")}]`);
    const table = matrix(values.slice(start, start + rows * columns), columns, limit);
    slices.append(element("div", { class: "slice" }, label, table));
  }
  return slices;
}

function matrix(values, columns, limit) {
  const table = element("table");
  for (let start = 0; start < values.length; start += columns) {
    const row = table.insertRow();
    for (const x of values.slice(start, start + columns)) {
      const cell = row.insertCell();
      cell.textContent = formatNumber(x);
      cell.classList.toggle("not-finite", typeof x === "number" && !Number.isFinite(x));
      cell.style.backgroundColor = heatColour(Number(x), limit, 35);
    }
  }
  return table;
}

function heatMap({ heat, shape }) {
  const { rows, columns } = heat;
  const canvas = element("canvas", {
    width: columns,
    height: rows,
    role: "img",
    "aria-label": `Heat map of an array of shape ${shape.join(" by ")},`
      + ` from ${formatNumber(heat.low)} to ${formatNumber(heat.high)}`,
  });
  const scale = Math.max(2, Math.floor(HEAT_SIDE / Math.max(rows, columns)));
  // a strip must be seen
  canvas.style.width = `${Math.max(columns * scale, 12)}px`;
  canvas.style.height = `${Math.max(rows * scale, 12)}px`;
  const colours = colourMap(`--${heat.scale}`, LEVELS);
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const levels = atob(heat.levels);
  for (let i = 0; i < levels.length; i++) {
    image.data.set(levelColour(levels.charCodeAt(i), colours), 4 * i);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

function levelColour(level, colours) {
  if (level === GAP) return [0, 0, 0, 0];
  if (level === NOT_FINITE) return [176, 23, 143, 255]; // --not-finite of the light scheme
  return colours[level];
}
