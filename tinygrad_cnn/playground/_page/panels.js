/* What is seen of the network: each function shows one part of the board. */

const TILE = { filter: 34, thumbnail: 44 }; // pixels of the longer side
const MAP = [36, 46]; // of a map, at least and at most
const DOWN = 8; // maps below each other
const INPUT = 96; // of the image that they are made of
const STRIP = 16; // of the strip of a fully connected layer, across
const byId = (id) => document.getElementById(id);

const curves = [
  new Curves(byId("loss-curve"), { column: 1, format: formatNumber }),
  new Curves(byId("accuracy-curve"), {
    column: 2,
    top: 1,
    format: (share) => `${Math.round(100 * share)} %`,
  }),
];

function showCurve(data) {
  for (const chart of curves) chart.show(data);
}

function percentage(share) {
  return share === null ? "–" : `${(100 * share).toFixed(1)} %`;
}

/* -- the network ---------------------------------------------------------------------------- */

let model = { classes: [] };

function showModel(value) {
  model = value;
  const shape = value.shape.join(" × ");
  const classes = value.classes.length ? `, ${value.classes.length} classes` : "";
  byId("built").textContent = `${value.title} on ${value.data} (${shape}${classes}):`
    + ` ${value.parameters.toLocaleString("en")} parameters`;
  byId("notes").replaceChildren(...value.notes.map((note) => element("li", {}, note)));
  const head = element("tr", {}, ...["layer", "output", "parameters"].map((t) => element("th", {}, t)));
  const rows = value.rows.map(([name, type, output, count]) =>
    element(
      "tr",
      { title: type },
      element("td", {}, name),
      element("td", {}, output.join("×")),
      element("td", {}, count ? count.toLocaleString("en") : ""),
    ),
  );
  byId("layers").replaceChildren(head, ...rows);
  byId("layers-details").hidden = !rows.length;
  byId("code").textContent = value.code;
  byId("code-details").hidden = !value.code;
  byId("drawing").hidden = value.pen === null;
  clearPad();
}

/* -- what it has learned -------------------------------------------------------------------- */

function showLooks(looks) {
  showFilters(looks.filters);
  showGradients(looks.layers);
  showColumns(looks);
  showInput(looks);
  showPredictions(looks);
  showDrawing(looks.drawing);
}

function showFilters(filters) {
  byId("filters").hidden = !filters;
  byId("no-filters").hidden = Boolean(filters);
  if (!filters) return;
  const { layer, kind, count, shape, tiles } = filters;
  const shown = tiles.count < count ? `, ${tiles.count} shown` : "";
  const channel = shape[0] === 1 || shape[0] === 3 ? "" : ", first channel";
  byId("filters-title").replaceChildren(
    `${kind === "filters" ? "Filters" : "Templates"} `,
    element("small", {}, `${layer}: ${count} of ${shape.join("×")}${shown}${channel}`),
  );
  const across = Math.max(1, Math.floor((byId("filters").parentElement.clientWidth - 24) / (TILE.filter + GAP)));
  paintTiles(byId("filters"), tiles, Math.min(across, tiles.count), TILE.filter);
  byId("filters").setAttribute("role", "img");
  byId("filters").setAttribute("aria-label", `${count} ${kind} of ${layer}`);
}

/* Bars on a scale of powers of ten. */
const GRADIENT_SCALE = [-7, 1];
const RATIO_SCALE = [-6, 0];

function showGradients(layers) {
  const table = byId("gradients");
  byId("no-gradients").hidden = layers.length > 0;
  const names = layers.map((layer) => layer[0]).join();
  if (table.dataset.names !== names) {
    table.dataset.names = names;
    const head = element("tr", {}, ...["", "gradient", "update/weight"].map((t) => element("th", {}, t)));
    table.replaceChildren(
      ...(layers.length ? [head] : []),
      ...layers.map(([name]) =>
        element("tr", {}, element("th", { scope: "row" }, name), barCell(), barCell("ratio")),
      ),
    );
  }
  layers.forEach(([, weight, gradient, update], i) => {
    const [, first, second] = table.rows[i + 1].cells;
    setBar(first, gradient, GRADIENT_SCALE);
    setBar(second, weight > 0 ? update / weight : null, RATIO_SCALE);
  });
}

function barCell(kind = "") {
  return element("td", { class: kind }, element("span", { class: "bar" }), element("output"));
}

function setBar(cell, value, [low, high]) {
  const share = value > 0 ? (Math.log10(value) - low) / (high - low) : 0;
  cell.firstChild.style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
  cell.lastChild.textContent = value === null ? "" : value ? value.toExponential(1) : "0";
}

function showColumns({ columns, chosen }) {
  const box = byId("columns");
  const maps = columns.filter((c) => c.shape.length === 3).length;
  const strips = columns.length - maps;
  const room = (box.clientWidth - INPUT - 10 - strips * (STRIP + 20)) / Math.max(1, maps) - 10;
  const across = room > 2 * MAP[0] + GAP ? 2 : 1;
  const side = Math.round(Math.min(MAP[1], Math.max(MAP[0], room / across - GAP)));
  const names = JSON.stringify(columns.map((c) => [c.heading, c.layer, c.shape]));
  if (box.dataset.names !== names) {
    box.dataset.names = names;
    const input = element(
      "figure",
      { class: "input" },
      element("figcaption", {}, element("b", {}, "INPUT"), element("span", {}, model.shape.join("×"))),
      element("canvas", { role: "img", "aria-label": "The image" }),
      element("span", { class: "guesses" }),
    );
    box.replaceChildren(
      input,
      ...columns.map(({ heading, layer, shape }) =>
        element(
          "figure",
          { title: layer },
          element("figcaption", {}, element("b", {}, heading), element("span", {}, shape.join("×"))),
          element("canvas", { role: "img", "aria-label": `Activations of ${layer || heading}` }),
        ),
      ),
    );
  }
  columns.forEach(({ tiles, shape }, i) => {
    const canvas = box.children[i + 1].lastChild;
    const count = Math.min(tiles.count, DOWN * across);
    if (shape.length === 3) paintTiles(canvas, { ...tiles, count }, across, side);
    else paintStrip(canvas, tiles, DOWN * (side + GAP));
  });
  byId("activations-of").textContent = chosen === null ? "of the drawing" : `of image ${chosen + 1}`;
}

/* The image itself, and what the network takes it for. */
function showInput({ chosen, drawing, predictions }) {
  const figure = byId("columns").querySelector(".input");
  if (!figure) return;
  const drawn = chosen === null;
  const tiles = drawn ? drawing.tiles : examples.tiles && oneTile(examples.tiles, chosen);
  if (tiles) paintTiles(figure.querySelector("canvas"), tiles, 1, INPUT);
  const guesses = (drawn ? drawing.best : predictions?.[chosen]) ?? [];
  setGuesses(figure.querySelector(".guesses"), guesses.slice(0, 3), drawn ? "" : examples.labels[chosen]);
}

/* The units of a fully connected layer, from top to bottom. */
function paintStrip(canvas, tiles, room) {
  const height = Math.min(room, tiles.rows * STRIP);
  const context = sized(canvas, STRIP, height);
  context.imageSmoothingEnabled = false;
  context.drawImage(sheetOf(tiles), 0, 0, STRIP, height);
}

/* -- images and what it says about them ----------------------------------------------------- */

let examples = { labels: [] };

function showExamples(value) {
  examples = value;
  const { tiles, labels, count } = value;
  const cards = Array.from({ length: count }, (_, i) => {
    const picture = element("canvas");
    if (tiles) paintTiles(picture, oneTile(tiles, i), 1, TILE.thumbnail);
    const label = element("span", { class: "label" }, labels[i] ?? "");
    return element(
      "button",
      { type: "button", "data-label": labels[i] ?? "", title: "Show its activations", onclick: () => send("choose", { image: i }) },
      element("span", { class: "picture" }, picture, label),
      element("span", { class: "guesses" }),
    );
  });
  byId("cards").replaceChildren(...cards);
}

function oneTile(tiles, i) {
  const size = tiles.rows * tiles.columns * (tiles.scale === "colour" ? 3 : 1);
  const levels = btoa(atob(tiles.levels).slice(i * size, (i + 1) * size));
  return { ...tiles, count: 1, levels };
}

function showPredictions({ predictions, chosen }) {
  const cards = [...byId("cards").children];
  let hits = 0;
  cards.forEach((card, i) => {
    card.setAttribute("aria-pressed", String(chosen === i));
    const guesses = predictions?.[i] ?? [];
    const right = guesses[0]?.[0] === card.dataset.label;
    hits += right;
    card.classList.toggle("right", right);
    card.classList.toggle("wrong", guesses.length > 0 && !right);
    setGuesses(card.querySelector(".guesses"), guesses, card.dataset.label);
  });
  byId("hits").textContent = predictions ? `${hits} of ${cards.length} right` : "";
}

/* Rows of a name and a bar; the rows stay and only what is in them changes. */
function setGuesses(box, guesses, truth) {
  while (box.children.length < guesses.length) {
    const bar = element("span", { class: "bar" });
    box.append(element("span", { class: "guess" }, bar, element("span"), element("output")));
  }
  while (box.children.length > guesses.length) box.lastChild.remove();
  guesses.forEach(([name, share], i) => {
    const [bar, text, number] = box.children[i].children;
    bar.style.width = `${100 * (Number.isFinite(share) ? share : 0)}%`;
    text.textContent = name;
    number.textContent = Number.isFinite(share) ? `${Math.round(100 * share)} %` : "NaN";
    box.children[i].classList.toggle("truth", name === truth);
  });
}
