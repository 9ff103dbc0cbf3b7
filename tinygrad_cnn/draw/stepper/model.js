/* The computation as this page needs it: its steps, its boxes that nest and fold, and what has
   happened by a step. A step is one operation: 0 shows what is given, then every operation is
   carried out, then backprop starts at the result and every operation passes its gradient on;
   the last step shows all gradients. Folding changes where the arrow keys stop, not the numbers. */

const MOST_BOXES = 500;
const ROOMY = 80; // boxes that are still an overview
const MOST_EDGES = 20; // of one given array; more of them hide the graph
const ZOOMS = ["layers", "functions", "primitives"];

class Model {
  constructor({ groups, vertices, walk, arrays, texts, left_out }) {
    Object.assign(this, { arrays, texts, leftOut: left_out });
    this.groups = groups.map((group, i) => ({ ...group, id: `g${i}`, children: [], open: false }));
    this.vertices = vertices.map((vertex, i) => ({
      ...vertex,
      id: `v${i}`,
      contributions: [],
      uses: [],
    }));
    this.root = { id: "root", kind: "root", name: "", children: [], open: true };
    this.result = this.vertices.at(-1);
    this.linkVertices();
    this.countSteps(walk);
    this.nest();
  }

  linkVertices() {
    for (const vertex of this.vertices) {
      vertex.operands = (vertex.of ?? []).map((i) => this.vertices[i]);
      vertex.passes = (vertex.back ?? []).map((pass) => ({
        ...pass,
        from: vertex,
        to: vertex.operands[pass.to],
        index: pass.to,
      }));
      vertex.operands.forEach((operand, index) => operand.uses.push({ vertex, index }));
      for (const pass of vertex.passes) pass.to.contributions.push(pass);
    }
  }

  countSteps(walk) {
    const computed = this.vertices.filter((vertex) => vertex.op);
    const passing = walk.map((i) => this.vertices[i]);
    this.steps = [
      { phase: "start" },
      ...computed.map((vertex) => ({ phase: "forward", vertex })),
      { phase: "seed", vertex: this.result },
      ...passing.map((vertex) => ({ phase: "backward", vertex })),
      { phase: "end" },
    ];
    this.steps.forEach((step, i) => {
      if (step.vertex && step.phase !== "seed") step.vertex[step.phase] = i;
    });
    this.seed = computed.length + 1;
    this.last = this.steps.length - 1;
    for (const vertex of this.vertices) {
      vertex.forward ??= 0;
      vertex.contributions.sort((a, b) => a.from.backward - b.from.backward);
      const latest = vertex.contributions.at(-1)?.from.backward;
      vertex.complete = vertex === this.result ? this.seed : (latest ?? Infinity);
    }
  }

  nest() {
    for (const item of [...this.vertices, ...this.groups]) {
      item.parent = this.groups[item.in] ?? this.root;
      item.parent.children.push(item);
    }
    const fill = (group) => {
      group.members = group.children.flatMap((child) => (child.children ? fill(child) : [child]));
      group.hasModules = group.children.some(
        (child) => child.kind === "module" || child.hasModules,
      );
      const computed = group.members.filter((vertex) => vertex.op);
      group.from = computed.length ? Math.min(...computed.map((vertex) => vertex.forward)) : 0;
      return group.members;
    };
    fill(this.root);
    const time = (item) => item.from ?? item.forward;
    for (const group of [this.root, ...this.groups])
      group.children.sort((a, b) => time(a) - time(b));
  }

  /* -- folding ---------------------------------------------------------------------------- */

  /* Fold to a zoom. Where too many boxes would be seen, runs stay folded, or the zoom is coarser.
     Returns the zoom that is shown. */
  setZoom(zoom) {
    for (const withRuns of zoom === "primitives" ? [true, false] : [false]) {
      for (const group of this.groups) group.open = isOpen(group, zoom, withRuns);
      if (this.visible().boxes.length <= MOST_BOXES) break;
    }
    const coarser = ZOOMS[ZOOMS.indexOf(zoom) - 1];
    return coarser && this.visible().boxes.length > MOST_BOXES ? this.setZoom(coarser) : zoom;
  }

  /* The zoom to start at: functions, or layers where these are far fewer boxes. */
  overview() {
    const count = (zoom) => (this.setZoom(zoom), this.visible().boxes.length);
    const functions = count("functions");
    return functions > ROOMY && count("layers") < functions ? "layers" : "functions";
  }

  /* What is seen now: a tree of open groups with the boxes in them, the boxes, and the edges. */
  visible() {
    const boxes = [];
    const show = (item, parent, above) => {
      const titles = [...above, titleOf(item)];
      if (item.open && item.children.length === 1 && item.kind !== "root")
        return show(item.children[0], parent, titles);
      const node = { item, parent, id: item.id, titles };
      if (item.open) {
        node.children = item.children.map((child) => show(child, node, []));
      } else {
        boxes.push(Object.assign(node, this.boxOf(item)));
      }
      return node;
    };
    const root = show(this.root, null, []);
    const boxOf = new Map(boxes.flatMap((box) => box.members.map((vertex) => [vertex, box])));
    const edges = edgesBetween(boxes, boxOf);
    for (const box of boxes)
      box.hidden =
        !box.computed.length && edges.filter((edge) => edge.from === box).length > MOST_EDGES;
    return { root, boxes, boxOf, edges: edges.filter((edge) => !edge.from.hidden) };
  }

  /* What a box stands for. Its result is the last array that leaves it. */
  boxOf(item) {
    const members = item.members ?? [item];
    const inside = new Set(members);
    const computed = members.filter((vertex) => vertex.op).sort((a, b) => a.forward - b.forward);
    const leaving = computed.filter(
      (vertex) => vertex === this.result || vertex.uses.some((use) => !inside.has(use.vertex)),
    );
    const steps = (phase) =>
      computed.map((vertex) => vertex[phase]).filter((step) => step !== undefined);
    return {
      members,
      computed,
      leaving,
      result: leaving.at(-1) ?? computed.at(-1) ?? (members.length === 1 ? members[0] : null),
      // where only one operation is inside, the box shows what that does
      only: computed.length === 1 ? computed[0] : null,
      forward: computed.length ? Math.max(...steps("forward")) : 0,
      backward: steps("backward").length ? Math.max(...steps("backward")) : null,
      from: computed.length ? Math.min(...steps("forward")) : 0,
      backFrom: steps("backward").length ? Math.min(...steps("backward")) : Infinity,
    };
  }

  /* Unfold all around a vertex, so that it is a box of its own. */
  reveal(item) {
    for (let group = item.parent; group; group = group.parent) group.open = true;
  }

  /* -- reading ---------------------------------------------------------------------------- */

  /* The payload of an array; null where it was left out. */
  payload(number) {
    const found = this.arrays[number] ?? null;
    if (!Array.isArray(found)) return found;
    const [x, dtype] = found;
    const finite = Number.isFinite(Number(x)) ? Number(x) : null;
    return {
      shape: [],
      dtype,
      min: finite,
      max: finite,
      mean: finite,
      nan: 0,
      inf: 0,
      note: "",
      values: [x],
    };
  }

  text(number) {
    return this.texts[number] ?? "";
  }

  arrived(vertex, step) {
    return vertex.contributions.filter((pass) => pass.from.backward <= step);
  }
}

function isOpen(group, zoom, withRuns) {
  if (group.kind === "run" || group.kind === "given") return withRuns;
  if (zoom === "primitives" || group.hasModules) return true;
  return zoom === "functions" && group.kind === "module";
}

function titleOf(item) {
  if (item.op) return item.name ? `${item.name} = ${item.op}` : item.op;
  return item.name ?? item.kind;
}

/* The settings of a group: of a module those of the function that it is for. */
function settingsOf({ set, kind, children }) {
  const functions = kind === "module" ? children.filter((child) => child.kind === "function") : [];
  return functions.length === 1 ? functions[0].set : set;
}

/* Between each two boxes that are joined: every use of a vertex of one by an operation of the other. */
function edgesBetween(boxes, boxOf) {
  const edges = new Map();
  for (const to of boxes) {
    for (const vertex of to.computed) {
      vertex.operands.forEach((operand, index) => {
        const from = boxOf.get(operand);
        if (from === to) return;
        const key = `${from.id} ${to.id}`;
        if (!edges.has(key)) edges.set(key, { from, to, uses: [] });
        edges.get(key).uses.push({ vertex, index, operand });
      });
    }
  }
  return [...edges.values()];
}

/* Where the arrow keys stop: when a box has its value, and when it has passed its gradient on. */
function stopsOf(model, boxes) {
  const stops = new Set([0, model.seed, model.last]);
  for (const box of boxes) {
    stops.add(box.forward);
    if (box.backward !== null) stops.add(box.backward);
  }
  return [...stops].sort((a, b) => a - b);
}

function shapeText(shape) {
  return shape.join("×") || "scalar";
}

/* The names of the groups around an item, from the outermost. */
function pathOf(item) {
  return item.parent && item.parent.kind !== "root"
    ? [...pathOf(item.parent), item.parent.name]
    : [];
}
