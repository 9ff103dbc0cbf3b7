/* The views of the convolution demo. Each has show(sum), with a sum as dotProduct makes it; one
   that may be scrolled has reveal(sum) too. */

/* A grid of numbers if they fit, else of colours. */
function grid(numbersFit, options) {
  return numbersFit ? new NumberGrid(options) : new HeatGrid(options);
}

function figure(label, shown) {
  return element("figure", {}, element("figcaption", {}, label), shown);
}

/* Input, filters and products: a line for each channel. */
class Channels {
  constructor(model, looks, host) {
    Object.assign(this, { model, looks });
    const { channels, height, width, filters, fh, fw } = model;
    const numbersFit = Math.max(height, width) <= 12 && width * looks.x.width <= 310;
    const room = 510 / Math.min(channels, 3) - 24;
    const side = clamp(Math.floor(Math.min(310 / width, room / height)), 3, 31);
    this.allFilters = filters * (fw * looks.weight.width + 14) <= 260;
    this.inputs = range(channels).map((channel) =>
      grid(numbersFit, {
        ...looks.x,
        rows: height,
        columns: width,
        value: (row, column) => model.input(channel, row, column),
        padding: (row, column) => model.isPadding(row, column),
        label: `Channel ${channel} of the input`,
        role: "input",
        cell: [side, side],
      }),
    );
    const padded = model.padding.some((pixels) => pixels > 0);
    const heads = [`Input${padded ? " with padding" : ""}`, `Filter${this.allFilters ? "s" : ""}`];
    host.append(...[...heads, "Products"].map((text) => element("h2", {}, text)));
    this.places = range(channels).map((channel) => {
      const places = [element("div"), element("div")];
      host.append(figure(`x[${channel}]`, this.inputs[channel].element), ...places);
      return places;
    });
    this.biases = element("div");
    host.append(this.biases);
    // Where an input is tall enough, its filter and products lie below each other.
    host.classList.toggle("stacked", !numbersFit && height * side >= fh * (18 + 27) + 70);
  }

  show({ filter, position, products }) {
    const { model, places } = this;
    const first = model.firstChannel(filter);
    const window = range(model.fh * model.fw).map((tap) => model.under(position, tap));
    this.inputs.forEach((input, channel) => {
      const seen = channel >= first && channel < first + model.depth;
      input.mark(seen ? window : []);
      input.element.parentElement.classList.toggle("unseen", !seen);
      places[channel][0].replaceChildren(...this.slices(channel, filter));
      places[channel][1].replaceChildren(...(seen ? [this.product(products[channel - first])] : []));
    });
    this.biases.replaceChildren(...this.shownFilters(filter).map((k) => this.bias(k, filter)));
  }

  /* Scroll to the channels that the filter sees; if there are too many, to the first. */
  reveal({ filter }) {
    const first = this.model.firstChannel(filter);
    for (const channel of [first + this.model.depth - 1, first]) {
      this.inputs[channel].element.parentElement.scrollIntoView({ block: "nearest" });
    }
  }

  shownFilters(current) {
    return this.allFilters ? range(this.model.filters) : [current];
  }

  /* What the shown filters have for one channel of the input. */
  slices(channel, current) {
    const { fh, fw, depth } = this.model;
    return this.shownFilters(current).map((filter) => {
      const slice = channel - this.model.firstChannel(filter);
      if (slice < 0 || slice >= depth) return "";
      const shown = grid(fw * this.looks.weight.width <= 200, {
        ...this.looks.weight,
        rows: fh,
        columns: fw,
        value: (row, column) => this.model.wRow(filter, (slice * fh + row) * fw + column),
        label: `Filter ${filter}, channel ${slice}`,
        role: "filter",
        cell: [18, 18],
      });
      const all = range(fh * fw).map((tap) => [Math.floor(tap / fw), tap % fw]);
      shown.mark(filter === current ? all : []);
      return figure(`w[${filter}, ${slice}]`, shown.element);
    });
  }

  /* A window times a filter slice, number by number, and the sum. */
  product({ terms, sum }) {
    const { looks, model } = this;
    const inline = looks.x.longest + looks.weight.longest <= 5;
    const table = element("table", { class: "grid product" });
    const width = inline ? 46 : Math.max(looks.x.width, looks.weight.width + 7);
    table.style.setProperty("--cell", `${width}px`);
    for (const row of range(model.fh)) {
      const line = table.insertRow();
      for (const { x, weight } of terms.slice(row * model.fw, (row + 1) * model.fw)) {
        const factors = [
          element("span", { class: "x" }, looks.x.format(x)),
          element("span", { class: "w" }, `×${looks.weight.format(weight)}`),
        ];
        line.append(element("td", { title: `${x} × ${weight} = ${x * weight}` }, ...factors));
      }
    }
    const total = element("span", {}, inline ? "= " : "sum = ", element("b", {}, formatNumber(sum)));
    return element("div", { class: `products${inline ? "" : " tall"}` }, table, total);
  }

  bias(filter, current) {
    const chosen = filter === current ? " current" : "";
    const text = `b[${filter}] = ${formatNumber(this.model.bias[filter])}`;
    return element("span", { class: `bias${chosen}` }, text);
  }
}

/* The output volume: a map for each filter; numbers that come later are pale. */
class Outputs {
  constructor(model, looks, host, pick) {
    this.model = model;
    const { filters, oh, ow } = model;
    const numbersFit = Math.max(oh, ow) <= 12 && ow * looks.out.width <= 300;
    const side = clamp(Math.floor((filters > 1 ? 135 : 280) / Math.max(oh, ow)), 3, 16);
    const cell = numbersFit ? [looks.out.width, 21] : [side, side];
    const inOneColumn = filters * (oh * cell[1] + 24);
    const abreast = Math.max(1, Math.floor(310 / (ow * cell[0] + 10)));
    this.maps = range(filters).map((filter) =>
      grid(numbersFit, {
        ...looks.out,
        rows: oh,
        columns: ow,
        value: (row, column) => model.output(filter, row * ow + column),
        label: `Output of filter ${filter}`,
        role: "output",
        cell,
        pick: (row, column) => pick(filter, row * ow + column),
      }),
    );
    this.figures = this.maps.map((map, filter) => figure(`o[${filter}]`, map.element));
    const maps = element("div", { class: "maps" }, ...this.figures);
    maps.style.setProperty("--columns", clamp(Math.ceil(inOneColumn / 480), 1, abreast));
    const legend = numbersFit ? "" : element("small", {}, "blue < 0 < orange");
    host.append(element("h2", {}, "Output", legend), maps);
  }

  show({ filter, position }) {
    const { ow, positions } = this.model;
    const now = filter * positions + position;
    this.maps.forEach((map, k) => {
      const current = k === filter ? [[Math.floor(position / ow), position % ow]] : [];
      map.mark(current, (row, column) => k * positions + row * ow + column > now);
    });
  }

  reveal({ filter }) {
    this.figures[filter].scrollIntoView({ block: "nearest" });
  }
}

/* W_row, X_col and their product in the layout of a multiplication by hand: each number of the
   product lies where a row of W_row, from the left, meets a column of X_col, from above. Of many
   columns, or rows of W_row, some around the current one are shown. With groups, it is the
   product of the group of the current filter. */
class Matrices {
  constructor(model, looks, hosts) {
    Object.assign(this, { model, looks, hosts });
    const { taps, positions } = model;
    this.numbersFit = taps <= 28;
    this.weightsFit = taps * looks.weight.width <= 940;
    this.width = this.numbersFit ? Math.max(looks.x.width, looks.out.width) : 12;
    this.wide = clamp(Math.floor(940 / taps), 3, 24); // a coloured cell of W_row
    this.tall = clamp(Math.floor(470 / taps), 2, 17); // a coloured cell of X_col
    this.columns = Math.min(positions, Math.max(2, Math.floor(255 / this.width)));
    this.filters = model.filters / model.groups;
    this.rows = this.filters <= 6 ? this.filters : 5;
  }

  show({ filter, position }) {
    const group = Math.floor(filter / this.filters);
    const inGroup = filter - group * this.filters;
    const column = clamp(position - Math.floor(this.columns / 2), 0, this.model.positions - this.columns);
    const row = clamp(inGroup - Math.floor(this.rows / 2), 0, this.filters - this.rows);
    if (String([group, row, column]) !== this.built) this.build(group, row, column);
    this.built = String([group, row, column]);
    this.xCol.mark(range(this.model.taps).map((tap) => [tap, position - column]));
    this.wRow.mark(range(this.model.taps).map((tap) => [inGroup - row, tap]));
    this.y.mark([[inGroup - row, position - column]]);
  }

  build(group, row, column) {
    const { model, looks, rows, columns, width } = this;
    const { taps, positions } = model;
    const first = group * this.filters + row;
    const area = model.fh * model.fw;
    this.xCol = grid(this.numbersFit, {
      ...looks.x, rows: taps, columns, width, ruleRows: area, role: "input", label: "X_col",
      value: (tap, p) => model.xCol(first, tap, column + p),
      cell: [width, this.tall],
    });
    this.wRow = grid(this.weightsFit, {
      ...looks.weight, rows, columns: taps, ruleColumns: area, role: "filter", label: "W_row",
      value: (k, tap) => model.wRow(first + k, tap),
      cell: [this.wide, 17],
    });
    this.y = grid(this.numbersFit, {
      ...looks.out, rows, columns, width, role: "output", label: "W_row X_col + b",
      value: (k, p) => model.output(first + k, column + p),
      cell: [width, 17],
    });
    const of = model.groups > 1 ? ` of group ${group}` : "";
    const shown = [partOf(column, columns, positions), partOf(row, rows, this.filters)];
    this.fill("x_col", `X_col${of}, ${taps} x ${positions}`, `${shown[0]}a column is a window`, this.xCol);
    this.fill("w_row", `W_row${of}, ${this.filters} x ${taps}`, `${shown[1]}a row is a filter`, this.wRow);
    this.fill("y", "W_row X_col + b", "a row is an output map", this.y);
  }

  fill(name, title, note, shown) {
    const head = element("h2", {}, title, element("span", { class: "muted" }, note));
    this.hosts(name).replaceChildren(head, shown.element);
  }
}

/* What to say where only some of `count` rows or columns are shown. */
function partOf(start, shown, count) {
  return shown < count ? `${start} to ${start + shown - 1}: ` : "";
}
