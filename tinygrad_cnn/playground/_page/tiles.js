/* Small pictures side by side, as _tiles.py packs them. */

const LEVELS = 253; // as in payload.py
const NOT_FINITE = 255;
const GAP = 2; // pixels between tiles

/* Draw tiles on a canvas, so many in a row, each as large as fits into a square. */
function paintTiles(canvas, tiles, across, side) {
  const scale = side / Math.max(tiles.rows, tiles.columns);
  const [width, height] = [tiles.columns * scale, tiles.rows * scale];
  const down = Math.ceil(tiles.count / across);
  const context = sized(canvas, across * (width + GAP) - GAP, down * (height + GAP) - GAP);
  const sheet = sheetOf(tiles);
  context.imageSmoothingEnabled = false;
  for (let i = 0; i < tiles.count; i++) {
    const x = (i % across) * (width + GAP);
    const y = Math.floor(i / across) * (height + GAP);
    context.drawImage(
      sheet, 0, i * tiles.rows, tiles.columns, tiles.rows, x, y, width, height,
    );
  }
}

/* A context in CSS pixels of a cleared canvas of this size. */
function sized(canvas, width, height) {
  const density = devicePixelRatio;
  const [columns, rows] = [Math.round(width * density), Math.round(height * density)];
  if (canvas.width !== columns || canvas.height !== rows) {
    canvas.width = columns;
    canvas.height = rows;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, columns, rows);
  context.setTransform(density, 0, 0, density, 0, 0);
  return context;
}

/* A canvas with one pixel for each number, tile below tile. */
function sheetOf(tiles) {
  const { count, rows, columns, levels, scale } = tiles;
  const sheet = element("canvas", { width: columns, height: count * rows });
  const context = sheet.getContext("2d");
  const image = context.createImageData(columns, count * rows);
  const bytes = atob(levels);
  const colours = scale === "colour" ? null : coloursOf(`--${scale}`);
  for (let i = 0; i < count * rows * columns; i++) {
    const pixel = colours
      ? colours[bytes.charCodeAt(i)]
      : [0, 1, 2].map((c) => (bytes.charCodeAt(3 * i + c) * 255) / (LEVELS - 1));
    image.data.set(pixel, 4 * i);
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return sheet;
}

const knownColours = {};

function coloursOf(name) {
  if (!knownColours[name]) {
    knownColours[name] = colourMap(name, LEVELS);
    knownColours[name][NOT_FINITE] = [176, 23, 143, 255]; // --not-finite of the light scheme
  }
  return knownColours[name];
}
