/* The graph on the page: boxes and edges where layout.js puts them, filled as the steps go on. */

const SVG = "http://www.w3.org/2000/svg";
const THUMB = { width: 62, height: 40, least: 10 };
const KINDS = {
  module: "module",
  function: "function",
  run: "run of operations",
  given: "given arrays",
  operation: "operation",
  parameter: "parameter",
  variable: "variable",
  input: "input",
  constant: "constant",
};

class GraphView {
  /* onBox(box): a click; onFold(group item, node): its sign, or a double click. */
  constructor(model, { onBox, onFold }) {
    Object.assign(this, { model, onBox, onFold });
    this.frame = document.getElementById("graph");
    this.scene = document.getElementById("scene");
    this.camera = new Camera(this.frame, this.scene);
    this.ruler = element("canvas").getContext("2d");
    this.font = getComputedStyle(document.body).fontFamily;
  }

  /* Lay out and draw what is visible now; `anchor`, an item, stays where it was on the screen. */
  rebuild(anchor) {
    const before = anchor && this.nodeOf(anchor);
    const { root, boxes, boxOf, edges } = this.model.visible();
    Object.assign(this, { root, boxes, boxOf, edges });
    for (const box of boxes) this.measure(box);
    layOut(root, edges, (node) => this.widthOf(node.titles.join(" · "), 12) + 50);
    this.scene.replaceChildren();
    this.drawGroups(root);
    this.scene.append(this.drawEdges());
    for (const box of boxes) this.scene.append(this.drawBox(box));
    document.getElementById("legend")?.remove();
    this.frame.append(this.legend());
    const after = anchor && this.nodeOf(anchor);
    if (before && after) {
      const across = before.left + before.width / 2 - after.left - after.width / 2;
      this.camera.pan(across * this.camera.scale, (before.top - after.top) * this.camera.scale);
    }
  }

  /* The box or open group of an item, or the box that it is folded into. */
  nodeOf(item) {
    const find = (node) => (node.item === item ? node : node.children?.map(find).find(Boolean));
    return this.root && (find(this.root) ?? this.boxOf.get(item.members?.[0] ?? item));
  }

  /* -- sizes ------------------------------------------------------------------------------ */

  widthOf(text, size) {
    this.ruler.font = `600 ${size}px ${this.font}`;
    return Math.ceil(this.ruler.measureText(text).width);
  }

  measure(box) {
    const { item, result } = box;
    const isNumber = item.kind === "constant" && !item.shape.length;
    const title = isNumber
      ? formatNumber(this.model.payload(item.value)?.values[0] ?? "?")
      : box.titles.join(" · ");
    const name = item.children && result?.op && result.name;
    Object.assign(box, { title: name ? `${name} = ${title}` : title, isNumber, kind: item.kind });
    if (isNumber) {
      Object.assign(box, { width: Math.max(28, this.widthOf(title, 12) + 16), height: 22 });
      return;
    }
    const inner = result && !result.shape.length ? 130 : 2 * THUMB.width + 12;
    const shape = result ? shapeText(result.shape) : `${box.members.length} arrays`;
    box.subtitle = box.computed.length > 1 ? `${box.computed.length} steps → ${shape}` : shape;
    if (box.subtitle === "scalar") box.subtitle = "";
    if (box.hidden) box.subtitle = [box.subtitle, "edges not drawn"].filter(Boolean).join(", ");
    const signs = item.children ? 34 : 0;
    box.width = Math.min(
      230,
      Math.max(inner, this.widthOf(box.title, 13) + signs, this.widthOf(box.subtitle, 11)) + 20,
    );
    box.height =
      (box.subtitle ? 40 : 26) + (!result ? 0 : result.shape.length ? THUMB.height + 8 : 24);
  }

  /* -- drawing ---------------------------------------------------------------------------- */

  drawGroups(node) {
    for (const child of node.children.filter((one) => one.children)) {
      const title = child.titles.join(" · ");
      const fold = element(
        "button",
        {
          class: "fold",
          title: "Fold (double-click)",
          "aria-label": `Fold ${title}`,
          onclick: () => this.onFold(child.item),
        },
        "−",
      );
      const group = element(
        "div",
        {
          class: `group ${child.item.kind}`,
          style: rectangle(child),
          ondblclick: () => this.onFold(child.item),
        },
        element("span", { class: "title", title: KINDS[child.item.kind] }, title),
        fold,
      );
      this.scene.append(group);
      this.drawGroups(child);
    }
  }

  drawBox(box) {
    const { item, result } = box;
    const path = [...pathOf(item).slice(0, 1 - box.titles.length || undefined), ...box.titles].join(
      " / ",
    );
    const button = element(
      "div",
      {
        class: `box ${box.kind}${box.isNumber ? " bare" : ""}`,
        style: rectangle(box),
        id: `box-${item.id}`,
        role: "button",
        tabindex: 0,
        title: `${KINDS[box.kind]} ${path}`,
        "aria-label": `${KINDS[box.kind]} ${path}`,
        onclick: (event) => {
          this.frame.focus({ preventScroll: true }); // so that the space bar plays
          if (event.detail < 2) this.onBox(box);
        },
        ondblclick: () => this.onFold(item),
        onkeydown: (event) => {
          if (event.key === "Enter" && item.children) this.onFold(item);
          else if ([" ", "Enter"].includes(event.key)) this.onBox(box);
          else return;
          event.preventDefault();
          event.stopPropagation();
        },
      },
      element("span", { class: "title" }, box.title),
    );
    box.element = button;
    if (box.isNumber) return button;
    if (item.children) {
      button.append(
        element(
          "button",
          {
            class: "fold",
            tabindex: -1,
            title: "Unfold (double-click)",
            "aria-label": `Unfold ${path}`,
            onclick: (event) => {
              event.stopPropagation();
              if (event.detail < 2) this.onFold(item);
            },
            ondblclick: (event) => event.stopPropagation(),
          },
          "+",
        ),
      );
    }
    if (box.subtitle) button.append(element("span", { class: "shape" }, box.subtitle));
    if (result) {
      const isScalar = !result.shape.length;
      box.value = element("span", { class: "value" });
      box.grad = element("span", { class: "grad" });
      const classes = ["cells", isScalar && "scalar", result.grad === undefined && "alone"];
      button.append(
        element(
          "span",
          { class: classes.filter(Boolean).join(" ") },
          box.value,
          result.grad === undefined ? "" : box.grad,
        ),
      );
    }
    return button;
  }

  drawEdges() {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("width", this.root.width);
    svg.setAttribute("height", this.root.height);
    svg.append(arrowHead("down"), arrowHead("up"));
    for (const edge of this.edges) {
      edge.path = document.createElementNS(SVG, "path");
      edge.path.setAttribute("d", curve(edge.points));
      edge.stopped = edge.uses.every(
        ({ vertex, index, operand }) => operand.grad === undefined || !vertex.flows[index],
      );
      svg.append(edge.path);
    }
    return svg;
  }

  /* What the boxes stand for, as far as there are such. */
  legend() {
    const kinds = Object.keys(KINDS).filter((kind) =>
      this.boxes.some((box) => box.kind === kind && !box.isNumber),
    );
    return element(
      "div",
      { id: "legend", "aria-hidden": "true" },
      ...kinds.map((kind) => element("span", { class: `box ${kind}` }, kind)),
    );
  }

  /* -- what has happened by a step ------------------------------------------------------------ */

  show(step, selected) {
    const { model } = this;
    const { vertex: current, phase } = model.steps[step];
    const active = current && this.boxOf.get(current);
    for (const box of this.boxes) {
      const state = box.forward <= step ? "done" : box.from <= step ? "partial" : "pending";
      const { result } = box;
      const arrived = result && result.grad !== undefined ? model.arrived(result, step).length : 0;
      const total = result?.contributions.length ?? 0;
      const complete = Boolean(result) && result.complete <= step;
      const { classList } = box.element;
      classList.toggle("pending", state === "pending");
      classList.toggle("partial", state === "partial");
      classList.toggle("has-grad", complete);
      classList.toggle("current", box === active);
      classList.toggle("selected", Boolean(selected) && box === selected);
      if (!result || box.isNumber) continue;
      this.fill(box.value, state === "done" ? result.value : null);
      this.fill(
        box.grad,
        complete ? result.grad : null,
        arrived && !complete ? `${arrived} of ${total}` : "",
      );
    }
    for (const edge of this.edges) this.mark(edge, step, phase, active);
    this.scene.dataset.phase = phase;
    return active;
  }

  mark(edge, step, phase, active) {
    const used = edge.uses.some(({ vertex }) => vertex.forward <= step);
    const passes = edge.uses.map(({ vertex, index }) =>
      vertex.passes.find((pass) => pass.index === index),
    );
    const returned = passes.some((pass) => pass && pass.from.backward <= step);
    const isActive =
      active === edge.to && (phase === "backward" ? returned : phase === "forward" && used);
    const kinds = [
      "edge",
      used && "used",
      returned && "returned",
      isActive && "active",
      edge.stopped && "stopped",
    ];
    edge.path.setAttribute("class", kinds.filter(Boolean).join(" "));
  }

  /* Put an array into a cell of a box: a number, a small picture, or a note. */
  fill(cell, number, note = "") {
    const shown = number === null ? note : String(number);
    if (cell.dataset.shown === shown) return;
    cell.dataset.shown = shown;
    cell.classList.toggle("note", number === null);
    cell.replaceChildren(number === null ? note : this.thumb(number));
  }

  thumb(number) {
    const payload = this.model.payload(number);
    if (!payload) return "…";
    if (!payload.shape.length && payload.values) return shortNumber(payload.values[0]);
    if (!payload.heat && !payload.values.length) return "empty";
    const heat = payload.heat ?? heatOf(payload);
    const canvas = heatMap({ heat, shape: payload.shape });
    const ratio = heat.rows / heat.columns;
    const width = Math.min(THUMB.width, THUMB.height / ratio);
    canvas.style.width = `${Math.max(THUMB.least, Math.round(width))}px`;
    canvas.style.height = `${Math.max(THUMB.least, Math.round(width * ratio))}px`;
    return canvas;
  }
}

/* A number that fits into a box. */
function shortNumber(x) {
  const text = formatNumber(x);
  return text.length > 7 && Number.isFinite(x) ? formatNumber(Number(x.toPrecision(3))) : text;
}

function rectangle({ left, top, width, height }) {
  return `left: ${left}px; top: ${top}px; width: ${width}px; height: ${height}px`;
}

/* A smooth path through points: upright at each of them. */
function curve([[x0, y0], ...points]) {
  let [x, y] = [x0, y0];
  return points.reduce((path, [nextX, nextY]) => {
    const middle = (y + nextY) / 2;
    path +=
      nextX === x ? `L${nextX} ${nextY}` : `C${x} ${middle} ${nextX} ${middle} ${nextX} ${nextY}`;
    [x, y] = [nextX, nextY];
    return path;
  }, `M${x} ${y}`);
}

function arrowHead(name) {
  const marker = document.createElementNS(SVG, "marker");
  const settings = {
    id: name,
    viewBox: "0 0 8 8",
    refX: 7,
    refY: 4,
    markerWidth: 10,
    markerHeight: 10,
    markerUnits: "userSpaceOnUse",
    orient: "auto-start-reverse",
  };
  for (const [key, value] of Object.entries(settings)) marker.setAttribute(key, value);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", "M0 0.5 L8 4 L0 7.5 Z");
  marker.append(path);
  return marker;
}

/* A small array, which has its numbers, as a heat map: see payload.py. */
function heatOf({ shape, values, min, max }) {
  const columns = shape.at(-1);
  const diverging = min < 0 && max > 0;
  const high = diverging ? Math.max(-min, max) : max;
  const low = diverging ? -high : min;
  const levels = values.map((x) => {
    if (!Number.isFinite(Number(x))) return NOT_FINITE;
    return high > low ? Math.round(((x - low) / (high - low)) * (LEVELS - 1)) : 0;
  });
  return {
    rows: values.length / columns,
    columns,
    low,
    high,
    levels: btoa(String.fromCharCode(...levels)),
    scale: diverging ? "diverging" : "sequential",
  };
}
