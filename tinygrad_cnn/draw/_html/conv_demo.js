/* The convolution demo: conv_demo.py sends the operands and the output, this steps through them.
   Steps count from 1, over the output in row-major order. */

/* The convolution: which numbers meet where. A position is a place in an output map, a tap a place
   in a filter, both counted in row-major order, as the columns and rows of X_col are. */
class Convolution {
  constructor(data) {
    Object.assign(this, data);
    [this.channels, this.height, this.width] = data.x.shape; // with the padding
    [this.filters, this.depth, this.fh, this.fw] = data.weight.shape; // depth: C / groups
    [, this.oh, this.ow] = data.out.shape;
    this.positions = this.oh * this.ow;
    this.taps = this.depth * this.fh * this.fw;
    this.steps = this.filters * this.positions;
  }

  input(channel, row, column) {
    return this.x.values[(channel * this.height + row) * this.width + column];
  }

  isPadding(row, column) {
    const [ph, pw] = this.padding;
    return row < ph || row >= this.height - ph || column < pw || column >= this.width - pw;
  }

  output(filter, position) {
    return this.out.values[filter * this.positions + position];
  }

  wRow(filter, tap) {
    return this.weight.values[filter * this.taps + tap];
  }

  /* An entry of X_col, of the channels that `filter` sees. */
  xCol(filter, tap, position) {
    const channel = this.firstChannel(filter) + Math.floor(tap / (this.fh * this.fw));
    return this.input(channel, ...this.under(position, tap));
  }

  firstChannel(filter) {
    return Math.floor(filter / (this.filters / this.groups)) * this.depth;
  }

  /* The [row, column] of the padded input that a tap lies upon. */
  under(position, tap) {
    const [row, column] = [Math.floor(tap / this.fw) % this.fh, tap % this.fw];
    return [
      Math.floor(position / this.ow) * this.stride[0] + row * this.dilation[0],
      (position % this.ow) * this.stride[1] + column * this.dilation[1],
    ];
  }

  /* The sum that makes an output number: for each channel that the filter sees the products of
     the window and their sum, and all of these and the bias together. */
  dotProduct(step) {
    const filter = Math.floor((step - 1) / this.positions);
    const position = (step - 1) % this.positions;
    const bias = this.bias[filter];
    const area = this.fh * this.fw;
    const products = range(this.depth).map((channel) => {
      const taps = range(area, channel * area);
      const terms = taps.map((tap) => ({
        x: this.xCol(filter, tap, position),
        weight: this.wRow(filter, tap),
      }));
      return { terms, sum: total(terms.map(({ x, weight }) => x * weight)) };
    });
    const sum = total(products.map((product) => product.sum)) + bias;
    return { filter, position, bias, products, sum, output: this.output(filter, position) };
  }
}

function range(count, start = 0) {
  return Array.from({ length: count }, (_, i) => start + i);
}

function total(numbers) {
  return numbers.reduce((a, b) => a + b, 0);
}

/* The sum of a step written out, and its result. */
function sumElements(model, { filter, position, bias, products, output }) {
  const first = model.firstChannel(filter);
  const terms = products.map(({ sum }, slice) => [sum, `x[${first + slice}] · w[${filter}, ${slice}]`]);
  const written = [...terms, [bias, `b[${filter}]`]].flatMap(([x, caption], i) => {
    const sign = x < 0 ? "-" : "+";
    return i === 0 ? [term(x, caption)] : [symbol(sign), term(Math.abs(x), caption)];
  });
  const [row, column] = [Math.floor(position / model.ow), position % model.ow];
  const result = term(output, `o[${filter}, ${row}, ${column}]`);
  result.classList.add("result");
  return [element("div", { class: "terms" }, ...written), symbol("="), result];
}

function term(x, caption) {
  return element("span", { class: "term" }, element("b", {}, formatNumber(x)), element("small", {}, caption));
}

function symbol(text) {
  return element("span", { class: "symbol" }, text);
}

/* Steps, plays and listens. */
class Demo {
  constructor(data) {
    this.model = new Convolution(data);
    this.host = (id) => document.getElementById(id);
    const looks = {
      x: lookOf(data.x.values, greys),
      weight: lookOf(data.weight.values, aboutZero),
      out: lookOf(data.out.values, aboutZero),
    };
    const pick = (filter, position) => this.go(filter * this.model.positions + position + 1);
    this.views = [
      new Channels(this.model, looks, this.host("channels")),
      new Outputs(this.model, looks, this.host("outputs"), pick),
      new Matrices(this.model, looks, this.host),
    ];
    this.timer = null;
    this.listen();
    this.readAddress();
  }

  /* Show a step; beyond an end comes the other end. */
  show(step) {
    const { steps } = this.model;
    this.step = ((step - 1 + steps) % steps) + 1;
    const before = this.now?.filter;
    this.now = this.model.dotProduct(this.step);
    for (const view of this.views) view.show(this.now);
    this.host("sum").replaceChildren(...sumElements(this.model, this.now));
    this.host("counter").textContent = `${this.step} / ${steps}`;
    // At the end, since what was filled in above takes room.
    if (this.now.filter !== before) for (const view of this.views) view.reveal?.(this.now);
  }

  /* Show a step that was asked for: the film stops, and the step is said and linked. */
  go(step) {
    clearTimeout(this.timer);
    this.timer = null;
    this.showPlaying(false);
    this.show(step);
    const { products, bias, output } = this.now;
    const sums = [...products.map(({ sum }) => sum), bias].map((x) => formatNumber(x));
    this.host("said").textContent =
      `Output number ${this.step} is ${sums.join(" + ")} = ${formatNumber(output)}`;
    history.replaceState(null, "", `#step=${this.step}`);
  }

  play() {
    const stepsPerSecond = 2 ** Number(this.host("speed").value);
    this.timer = setTimeout(() => {
      this.show(this.step + 1);
      this.play();
    }, 1000 / stepsPerSecond);
    this.showPlaying(true);
  }

  toggle() {
    if (this.timer === null) this.play();
    else this.go(this.step);
  }

  showPlaying(playing) {
    this.host("play").textContent = playing ? "Pause" : "Play";
    this.host("play").setAttribute("aria-pressed", playing);
  }

  readAddress() {
    const [, step] = location.hash.match(/^#step=(\d+)$/) ?? [null, 1];
    this.go(clamp(Number(step), 1, this.model.steps));
  }

  listen() {
    const { positions, steps } = this.model;
    const actions = {
      ArrowRight: () => this.go(this.step + 1),
      ArrowLeft: () => this.go(this.step - 1),
      ArrowDown: () => this.go(this.step + positions),
      ArrowUp: () => this.go(this.step - positions),
      Home: () => this.go(1),
      End: () => this.go(steps),
      " ": () => this.toggle(),
    };
    document.addEventListener("keydown", (event) => {
      const { target, key } = event;
      const itsOwn = target.matches("input") || (key === " " && target.matches("button"));
      if (itsOwn || event.ctrlKey || event.altKey || event.metaKey || !(key in actions)) return;
      event.preventDefault();
      actions[key]();
    });
    this.host("previous").addEventListener("click", actions.ArrowLeft);
    this.host("next").addEventListener("click", actions.ArrowRight);
    this.host("play").addEventListener("click", actions[" "]);
    window.addEventListener("hashchange", () => this.readAddress());
    window.addEventListener("resize", fillScreen);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.show(this.step));
  }
}

/* Larger on a larger screen, such as a projector's: the page is laid out for 1280 x 800. */
function fillScreen() {
  const zoom = Math.max(1, Math.min(innerWidth / 1280, innerHeight / 800));
  document.documentElement.style.setProperty("--zoom", zoom);
}

fillScreen();
const demo = new Demo(pageData());
