/* Matrices as grids of numbers, or of colours where numbers would not fit.

   Both kinds take the same options: rows, columns; value(row, column); label, for those who do not
   see it; role, "input", "filter" or "output", which gives the colour of marks; format, width and
   colours as lookOf makes them, and cell: [width, height] of a coloured cell; padding(row, column),
   whether a place lies around the image; ruleRows and ruleColumns, after how many a line follows;
   pick(row, column), called for a click. Both have an element, and mark(cells, later): the cells
   [[row, column], ...] stand out, and those with later(row, column) are pale. */

class NumberGrid {
  constructor(options) {
    const { rows, columns, value, label, role, width, format, padding, pick } = options;
    const { ruleRows, ruleColumns } = options;
    this.element = element("table", { class: `grid ${role}`, "aria-label": label });
    this.element.style.setProperty("--cell", `${width}px`);
    this.cells = Array.from({ length: rows }, (_, row) => {
      const line = this.element.insertRow();
      return Array.from({ length: columns }, (_, column) => {
        const cell = line.insertCell();
        const x = value(row, column);
        cell.textContent = format(x);
        cell.title = String(x);
        cell.classList.toggle("padding", padding?.(row, column) ?? false);
        cell.classList.toggle("rule-row", isRule(row, rows, ruleRows));
        cell.classList.toggle("rule-column", isRule(column, columns, ruleColumns));
        if (pick) cell.addEventListener("click", () => pick(row, column));
        return cell;
      });
    });
    this.marked = [];
  }

  mark(cells, later = () => false) {
    for (const cell of this.marked) cell.classList.remove("marked");
    this.marked = cells.map(([row, column]) => this.cells[row][column]);
    for (const cell of this.marked) cell.classList.add("marked");
    this.cells.forEach((line, row) =>
      line.forEach((cell, column) => cell.classList.toggle("later", later(row, column))),
    );
  }
}

class HeatGrid {
  constructor(options) {
    const { rows, columns, label, role, cell, pick } = options;
    [this.width, this.height] = cell;
    Object.assign(this, { options, role, density: Math.max(2, Math.ceil(devicePixelRatio)) });
    const size = { width: columns * this.width, height: rows * this.height };
    this.element = element("canvas", {
      class: `grid ${role}`,
      role: "img",
      "aria-label": label,
      width: size.width * this.density,
      height: size.height * this.density,
    });
    this.element.style.cssText = `width: ${size.width}px; height: ${size.height}px`;
    this.picture = this.paint();
    if (pick) {
      this.element.addEventListener("click", (event) => {
        const box = this.element.getBoundingClientRect();
        const row = Math.floor(((event.clientY - box.top) / box.height) * rows);
        const column = Math.floor(((event.clientX - box.left) / box.width) * columns);
        if (row < rows && column < columns) pick(row, column);
      });
    }
  }

  /* The colours, which no mark changes. */
  paint() {
    const { rows, columns, value, padding, colours, ruleRows, ruleColumns } = this.options;
    const canvas = element("canvas", { width: this.element.width, height: this.element.height });
    const context = this.context(canvas);
    const hatched = hatching(context);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        context.fillStyle = padding?.(row, column) ? hatched : colours(value(row, column));
        const corner = [column * this.width, row * this.height];
        context.fillRect(...corner, this.width, this.height);
        context.fillStyle = "#808080";
        if (isRule(row, rows, ruleRows)) {
          context.fillRect(corner[0], corner[1] + this.height - 1, this.width, 1);
        }
        if (isRule(column, columns, ruleColumns)) {
          context.fillRect(corner[0] + this.width - 1, corner[1], 1, this.height);
        }
      }
    }
    return canvas;
  }

  mark(cells, later) {
    const { rows, columns } = this.options;
    const style = getComputedStyle(document.documentElement);
    const context = this.context(this.element);
    context.clearRect(0, 0, columns * this.width, rows * this.height);
    context.drawImage(this.picture, 0, 0, columns * this.width, rows * this.height);
    context.fillStyle = style.getPropertyValue("--surface");
    context.globalAlpha = 0.65;
    for (let row = 0; later && row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        if (later(row, column)) {
          context.fillRect(column * this.width, row * this.height, this.width, this.height);
        }
      }
    }
    context.globalAlpha = 1;
    context.fillStyle = style.getPropertyValue(`--${this.role}`);
    this.outline(context, cells);
  }

  /* A frame around the cells together: an edge where the neighbour is not one of them. */
  outline(context, cells) {
    const [w, h] = [this.width, this.height];
    const inside = new Set(cells.map(String));
    for (const [row, column] of cells) {
      const [x, y] = [column * w, row * h];
      if (!inside.has(`${row - 1},${column}`)) context.fillRect(x, y, w, 2);
      if (!inside.has(`${row + 1},${column}`)) context.fillRect(x, y + h - 2, w, 2);
      if (!inside.has(`${row},${column - 1}`)) context.fillRect(x, y, 2, h);
      if (!inside.has(`${row},${column + 1}`)) context.fillRect(x + w - 2, y, 2, h);
    }
  }

  context(canvas) {
    const context = canvas.getContext("2d");
    context.setTransform(this.density, 0, 0, this.density, 0, 0);
    return context;
  }
}

/* Thin diagonal lines, as conv_demo.css has them for numbers. */
function hatching(context) {
  const size = 5;
  const tile = element("canvas", { width: size, height: size });
  const pen = tile.getContext("2d");
  pen.strokeStyle = "#808080";
  pen.lineWidth = 0.7;
  for (const shift of [-size, 0, size]) {
    pen.moveTo(shift, size);
    pen.lineTo(shift + size, 0);
  }
  pen.stroke();
  return context.createPattern(tile, "repeat");
}

function isRule(place, count, every) {
  return every !== undefined && (place + 1) % every === 0 && place + 1 < count;
}

/* How a grid shows an array: a text for each number, all with as many decimals as give the
   largest three digits; the width of a cell that each of them fits into; and colours. */
function lookOf(values, colours) {
  const size = largest(values.filter(Number.isFinite).map(Math.abs));
  const decimals = clamp(2 - Math.floor(Math.log10(size)), 0, 5);
  const odd = size < 1e-3 || size >= 1e6;
  const format = (x) => {
    if (odd || Number.isInteger(x) || !Number.isFinite(x)) return formatDigits(x, 3);
    const text = x.toFixed(decimals);
    return Number(text) === 0 ? text.replace("-", "") : text;
  };
  const longest = largest(values.map((x) => format(x).length));
  return { format, longest, width: Math.max(25, longest * 7 + 6), colours: colours(values) };
}

function clamp(x, low, high) {
  return Math.max(low, Math.min(high, x));
}

/* value -> CSS colour, for numbers like these: a picture in greys, or shades about 0. */
function greys(values) {
  const finite = values.filter(Number.isFinite);
  return shades(finite.reduce((a, b) => Math.min(a, b), 0), largest(finite), "--greys");
}

function aboutZero(values) {
  const limit = largest(values.filter(Number.isFinite).map(Math.abs));
  return shades(-limit, limit, "--diverging");
}

function largest(values) {
  return values.reduce((a, b) => Math.max(a, b), 0);
}

function shades(low, high, name) {
  const colours = colourMap(name, 255);
  return (x) => {
    if (!Number.isFinite(x)) return "#b0178f";
    const share = high > low ? (x - low) / (high - low) : 0.5;
    const [r, g, b] = colours[Math.round(share * 254)];
    return `rgb(${r} ${g} ${b})`;
  };
}
