/* What the details of a step are made of: figures, formulas, ledgers, links. */

const MOST_LISTED = 60;
const MOST_OPERANDS = 24;
const MATHML = "http://www.w3.org/1998/Math/MathML";

class Parts {
  /* go(step, vertex): show that step; unfold(vertex, step): the same, with a box of its own for
     the vertex. */
  constructor(model, { go, unfold }) {
    Object.assign(this, { model, go, unfold });
    this.panel = document.getElementById("details");
  }

  heading(phase, title, item = null, kind = "") {
    const path = item ? pathOf(item).join(" / ") : "";
    return element(
      "header",
      {},
      element("p", { class: "crumbs" }, element("span", { class: `phase ${phase}` }, phase), path),
      element("h2", {}, title, kind ? element("span", { class: "muted" }, ` ${kind}`) : ""),
    );
  }

  formula(number) {
    const markup = this.model.text(number);
    return markup ? element("div", { class: "formula" }, mathElement(markup)) : null;
  }

  figure(number, label, kind = "") {
    const payload = this.model.payload(number);
    const shown = payload
      ? arrayOrNumber(payload)
      : element("p", { class: "muted" }, "left out: see the note below");
    return element(
      "div",
      { class: `operand ${kind}` },
      element("span", { class: "label", title: label }, label),
      shown,
    );
  }

  operands(vertices) {
    const figures = vertices
      .slice(0, MOST_OPERANDS)
      .map((vertex) => this.figure(vertex.value, this.label(vertex)));
    const rest = vertices.length - MOST_OPERANDS;
    if (rest > 0) figures.push(element("span", { class: "words" }, `and ${rest} more`));
    return separated(figures, ",");
  }

  gallery(vertices, number) {
    const rest = vertices.length - MOST_LISTED;
    return element(
      "div",
      { class: "gallery" },
      ...vertices
        .slice(0, MOST_LISTED)
        .map((vertex) => this.figure(number(vertex), this.label(vertex))),
      rest > 0 ? element("p", { class: "muted" }, `and ${rest} more`) : "",
    );
  }

  /* Who contributed what to a gradient, in the order of backprop. */
  ledger(vertex) {
    const entries = vertex.contributions;
    const arrived = this.model.arrived(vertex, this.step);
    const complete = arrived.length === entries.length;
    const total = complete ? this.model.payload(vertex.grad) : this.sumOf(arrived);
    const rows = entries.map((pass) => {
      const here = pass.from.backward <= this.step;
      const [file, line, , text] = this.model.text(pass.from.line) || [];
      return element(
        "tr",
        { class: here ? (pass.from.backward === this.step ? "now" : "") : "later" },
        element(
          "td",
          {},
          this.link(pass.from, titleOf(pass.from), pass.from.backward),
          element("span", { class: "muted" }, ` step ${pass.from.backward}`),
          file ? element("code", { title: text }, `${file}:${line}`) : "",
        ),
        element("td", {}, here ? arrayOrNumber(this.model.payload(pass.down)) : "not yet"),
      );
    });
    const end = element(
      "tr",
      { class: "sum" },
      element(
        "td",
        {},
        complete ? "sum: the gradient" : `sum of ${arrived.length} of ${entries.length}`,
      ),
      element("td", {}, total ? arrayOrNumber(total) : "when all have arrived"),
    );
    return element(
      "section",
      { class: "ledger" },
      element("h3", {}, `ledger of the gradient of ${this.name(vertex)}`),
      element("table", {}, ...rows, entries.length > 1 ? end : ""),
    );
  }

  /* The sum of contributions whose numbers are all here; else null. */
  sumOf(passes) {
    const payloads = passes.map((pass) => this.model.payload(pass.down));
    if (!payloads.length || payloads.some((payload) => !payload?.values)) return null;
    const values = payloads[0].values.map((_, i) =>
      payloads.reduce((sum, payload) => sum + payload.values[i], 0),
    );
    return {
      ...payloads[0],
      values,
      min: Math.min(...values),
      max: Math.max(...values),
      nan: 0,
      inf: 0,
    };
  }

  source(vertex) {
    const [file, line, inside, text] = this.model.text(vertex.line) || [];
    if (!file) return null;
    return element(
      "figure",
      { class: "source" },
      element("pre", {}, element("code", {}, text || "(the source text is not available)")),
      element("figcaption", {}, `${file}, line ${line}, in ${inside}`),
    );
  }

  usedBy(vertex) {
    if (!vertex.uses.length) return null;
    const users = [...new Set(vertex.uses.map((use) => use.vertex))];
    const links = users
      .slice(0, 12)
      .map((user) => this.link(user, `${titleOf(user)} (step ${user.forward})`, user.forward));
    return element(
      "p",
      { class: "muted" },
      "used by ",
      ...links.flatMap((link, i) => (i ? [", ", link] : [link])),
      users.length > 12 ? ` and ${users.length - 12} more` : "",
    );
  }

  link(vertex, text, step = vertex.forward) {
    return element("button", { class: "link", onclick: () => this.go(step, vertex) }, text);
  }

  name(vertex) {
    if (vertex.name) return vertex.name;
    if (!vertex.op) return vertex.kind;
    const box = this.boxOf.get(vertex);
    return `${box.result === vertex ? nameOf(box) : vertex.op} (step ${vertex.forward})`;
  }

  label(vertex) {
    return vertex.op || !vertex.name ? this.name(vertex) : `${vertex.name}, ${vertex.kind}`;
  }
}

/* Figures in a row; one with a sign before it is a pair, which a new line does not divide. */
function equation(...parts) {
  const terms = parts.map((part) =>
    Array.isArray(part)
      ? element("span", { class: "term" }, element("span", { class: "operator" }, part[0]), part[1])
      : part,
  );
  return element("div", { class: "equation" }, ...terms);
}

function separated(figures, sign) {
  return figures.map((figure, i) => (i ? [sign, figure] : figure));
}

/* What a box is called from elsewhere: with the layer that it is in. */
function nameOf({ titles, parent }) {
  const layer = parent.item.kind === "module" && !parent.item.hasModules ? parent.titles : [];
  return [...layer, ...titles].join(" · ");
}

/* The title of a box with one operation, which may be that operation itself. */
function titleInside(box, vertex) {
  return box.item === vertex ? titleOf(vertex) : `${box.titles.join(" · ")}: ${vertex.op}`;
}

function lastStep(passes) {
  return Math.max(...passes.map((pass) => pass.from.backward));
}

function axesText(axes) {
  return axes.length === 1 ? `axis ${axes[0]}` : `axes ${axes.join(", ")}`;
}

/* A scalar as a number, everything else as arrays.js shows it. */
function arrayOrNumber(payload) {
  if (!payload) return element("span", { class: "muted" }, "left out");
  if (payload.shape.length || !payload.values) return arrayElement(payload);
  return element(
    "output",
    { class: "number", title: String(payload.values[0]) },
    formatNumber(payload.values[0]),
  );
}

/* MathML from its text, element by element: nothing but mathematics gets in. */
function mathElement(markup) {
  const copy = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return node.data;
    const made = document.createElementNS(MATHML, node.localName);
    for (const { name, value } of node.attributes)
      if (!name.startsWith("on")) made.setAttribute(name, value);
    made.append(...[...node.childNodes].map(copy));
    return made;
  };
  return copy(new DOMParser().parseFromString(markup, "application/xml").documentElement);
}
