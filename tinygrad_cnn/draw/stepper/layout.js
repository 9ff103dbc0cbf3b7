/* A layered layout, top to bottom, of boxes that nest. Every open group is laid out by itself and
   then is one box of the group around it. An edge that crosses the border of a group does so at a
   port. An edge that passes a rank gets a place in it, so that no edge runs through a box.
   Ranks: longest path. Order in a rank: barycentres. Places across: least squares. */

const SPACE = { across: 18, bridge: 12, down: 30, title: 26, padding: 12 };
const SWEEPS = 10;

/* Give every node of the tree left, top, width and height, and every edge its points. */
function layOut(root, edges, titleWidth) {
  for (const edge of edges) edge.links = linksOf(edge);
  const arrange = (node) => {
    if (!node.children) return;
    node.children.forEach(arrange);
    node.cluster = new Cluster(node, node.parent ? titleWidth(node) : 0);
  };
  arrange(root);
  const place = (node, left, top) => {
    Object.assign(node, { left, top });
    for (const child of node.children ?? []) place(child, left + child.x, top + child.y);
  };
  place(root, 0, 0);
  for (const edge of edges)
    edge.points = edge.links.flatMap(({ node, tail, head }) => node.cluster.route(tail, head));
}

/* -- the parts of an edge, one in each group that it runs through --------------------------
   Each end of a part is an item of that group, and for a group in it the port. */

function linksOf({ from, to }) {
  const around = (node) => (node.parent ? [...around(node.parent), node.parent] : []);
  const [above, below] = [around(from), around(to)];
  let shared = 0;
  while (above[shared] && above[shared] === below[shared]) shared += 1;
  const links = [];
  let tail = { item: from };
  for (const node of above.slice(shared).reverse()) {
    const port = portOf(node, "out", from);
    links.push(linkIn(node, tail, { item: port }));
    tail = { item: node, port };
  }
  let inside = above[shared - 1];
  for (const node of below.slice(shared)) {
    const port = portOf(node, "in", from);
    links.push(linkIn(inside, tail, { item: node, port }));
    tail = { item: port };
    inside = node;
  }
  links.push(linkIn(inside, tail, { item: to }));
  return links;
}

function portOf(node, side, from) {
  node.ports ??= new Map();
  const id = `${side} ${from.id}`;
  if (!node.ports.has(id))
    node.ports.set(id, { id, side, given: isGiven({ item: from }), width: 0, height: 0 });
  return node.ports.get(id);
}

function linkIn(node, tail, head) {
  node.links ??= new Map();
  const id = keyOf(tail, head);
  if (!node.links.has(id)) node.links.set(id, { node, tail, head });
  return node.links.get(id);
}

function keyOf(...ends) {
  return ends.map(({ item, port }) => `${item.id}|${port?.id ?? ""}`).join(" > ");
}

/* Where an edge meets an item, from the left border of the group that the item is in. */
function attach({ item, port }) {
  return item.x + (port ? port.x : item.width / 2);
}

/* The same as a place in the order of a rank. */
function orderOf({ item, port }) {
  return item.order + (port ? port.x / item.width - 0.5 : 0);
}

/* Whether a parameter, variable or constant flows here, and not what the computation is about. */
function isGiven({ item, port }) {
  return (port ?? item).given ?? !(item.computed?.length || item.kind === "input");
}

/* -- one group ------------------------------------------------------------------------------ */

class Cluster {
  constructor(node, titleWidth) {
    this.node = node;
    const ports = [...(node.ports?.values() ?? [])];
    this.entries = ports.filter((port) => port.side === "in");
    this.exits = ports.filter((port) => port.side === "out");
    this.items = [...this.entries, ...node.children, ...this.exits];
    this.items.forEach((item, i) => Object.assign(item, { time: i, bridge: 0 }));
    // An edge back in time, where folding made a circle, is drawn but moves nothing.
    this.links = [...(node.links?.values() ?? [])].filter(
      ({ tail, head }) => tail.item.time < head.item.time,
    );
    this.rank();
    this.bridge();
    this.sort();
    this.spread();
    this.measure(titleWidth);
    this.fan();
  }

  rank() {
    const into = groupBy(this.links, (link) => link.head.item);
    const outOf = groupBy(this.links, (link) => link.tail.item);
    const first = this.entries.length ? 1 : 0;
    for (const item of this.items) {
      const above = into.get(item).map((link) => link.tail.item.rank);
      item.rank = item.side === "in" ? 0 : Math.max(first, ...above.map((rank) => rank + 1));
    }
    let alone = 0; // what nothing is joined with stands one to a rank, at the side
    const ranks = Math.max(...this.node.children.map((item) => item.rank)) + 1 - first;
    for (const item of this.node.children) {
      if (!into.get(item).length && !outOf.get(item).length) item.rank = first + (alone++ % ranks);
    }
    const last = Math.max(...this.node.children.map((item) => item.rank)) + 1;
    for (const item of this.exits) item.rank = last;
    for (const item of [...this.node.children].reverse()) {
      const below = outOf.get(item).map((link) => link.head.item.rank);
      if (below.length && below.length >= into.get(item).length) item.rank = Math.min(...below) - 1; // shortens edges
    }
  }

  /* Stand-ins in the ranks that an edge passes; edges from one place share them. */
  bridge() {
    this.bridges = new Map();
    this.joins = new Map(); // between neighbouring ranks
    for (const { tail, head } of this.links) {
      const path = [tail];
      for (let rank = tail.item.rank + 1; rank < head.item.rank; rank++)
        path.push({ item: this.bridgeAt(tail, rank) });
      path.push(head);
      for (let i = 1; i < path.length; i++) {
        const [upper, lower] = path.slice(i - 1, i + 1);
        // what is long, and what was computed, is drawn straight first
        const weight = [1, 2, 6][upper.item.bridge + lower.item.bridge] * (isGiven(tail) ? 1 : 8);
        this.joins.set(keyOf(upper, lower), { upper, lower, weight });
      }
    }
    this.ranks = [];
    for (const item of [...this.items, ...this.bridges.values()]) {
      (this.ranks[item.rank] ??= []).push(item);
    }
    this.above = groupBy(this.joins.values(), (join) => join.lower.item);
    this.below = groupBy(this.joins.values(), (join) => join.upper.item);
  }

  bridgeAt(tail, rank) {
    const id = `${keyOf(tail)} @ ${rank}`;
    if (!this.bridges.has(id))
      this.bridges.set(id, { id, rank, tail: keyOf(tail), bridge: 1, width: 0, height: 0 });
    return this.bridges.get(id);
  }

  sort() {
    const number = () =>
      this.ranks.forEach((rank) =>
        rank.forEach((item, i) => {
          item.order = i;
        }),
      );
    number();
    let best = { crossings: this.crossings(), ranks: this.ranks.map((rank) => [...rank]) };
    for (let sweep = 0; sweep < SWEEPS && best.crossings; sweep++) {
      const down = sweep % 2 === 0;
      for (const rank of down ? this.ranks : [...this.ranks].reverse()) {
        for (const item of rank) {
          const ends = down
            ? this.above.get(item).map((join) => join.upper)
            : this.below.get(item).map((join) => join.lower);
          item.centre = ends.length ? mean(ends.map(orderOf)) : item.order;
        }
        rank.sort((a, b) => a.centre - b.centre);
        rank.forEach((item, i) => {
          item.order = i;
        });
      }
      const crossings = this.crossings();
      if (crossings < best.crossings)
        best = { crossings, ranks: this.ranks.map((rank) => [...rank]) };
    }
    this.ranks = best.ranks;
    number();
  }

  crossings() {
    let sum = 0;
    for (const joins of groupBy(this.joins.values(), (join) => join.upper.item.rank).values()) {
      const ends = joins.map(({ upper, lower }) => [orderOf(upper), orderOf(lower)]);
      sum += inversions(ends.sort((a, b) => a[0] - b[0] || a[1] - b[1]).map((pair) => pair[1]));
    }
    return sum;
  }

  /* Every item below and above the middle of what it is joined with, in its order. */
  spread() {
    for (const rank of this.ranks)
      separate(
        rank,
        rank.map(() => ({ x: 0, weight: 1 })),
      );
    for (let sweep = 0; sweep < 8 * SWEEPS; sweep++) {
      const both = sweep >= SWEEPS; // first from above and from below in turn, then from both
      const down = sweep % 2 === 0;
      for (const rank of down ? this.ranks : [...this.ranks].reverse()) {
        separate(
          rank,
          rank.map((item) => this.wanted(item, both || down, both || !down)),
        );
      }
    }
    this.straighten();
    const items = this.ranks.flat();
    const left = Math.min(...items.map((item) => item.x));
    for (const item of items) item.x -= left;
  }

  wanted(item, above, below) {
    let [sum, weight] = [0, 0];
    const pull = (join, mine, other) => {
      sum += join.weight * (attach(join[other]) - (attach(join[mine]) - item.x));
      weight += join.weight;
    };
    if (above) this.above.get(item).forEach((join) => pull(join, "lower", "upper"));
    if (below) this.below.get(item).forEach((join) => pull(join, "upper", "lower"));
    return weight ? { x: sum / weight, weight } : { x: item.x, weight: 0.01 };
  }

  /* Long edges upright as far as their neighbours leave room. */
  straighten() {
    for (const chain of groupBy(this.bridges.values(), (bridge) => bridge.tail).values()) {
      for (let start = 0, end = 0; start < chain.length; start = end) {
        let [low, high] = [-Infinity, Infinity];
        for (end = start; end < chain.length; end++) {
          const [left, right] = this.roomOf(chain[end]);
          if (Math.max(low, left) > Math.min(high, right)) break;
          [low, high] = [Math.max(low, left), Math.min(high, right)];
        }
        end = Math.max(end, start + 1);
        const run = chain.slice(start, end);
        const x = Math.min(high, Math.max(low, mean(run.map((bridge) => bridge.x))));
        for (const bridge of run) bridge.x = x;
      }
    }
  }

  roomOf({ rank, order }) {
    const [before, after] = [this.ranks[rank][order - 1], this.ranks[rank][order + 1]];
    return [
      before ? before.x + before.width + SPACE.bridge : -Infinity,
      after ? after.x - SPACE.bridge : Infinity,
    ];
  }

  /* The place of each rank, and the size of the whole. */
  measure(titleWidth) {
    const { node } = this;
    const framed = Boolean(node.parent);
    const side = framed ? SPACE.padding : 0;
    let y = framed ? SPACE.title : 0;
    let bottom = y;
    for (const rank of this.ranks) {
      const height = Math.max(...rank.map((item) => item.height));
      for (const item of rank) {
        item.band = item.side === "in" ? [0, 0] : [y, y + height];
        item.y = mean(item.band) - item.height / 2;
      }
      if (rank[0].side === "in") y += 6;
      else if (rank[0].side !== "out") [bottom, y] = [y + height, y + height + SPACE.down];
    }
    const width = Math.max(...this.ranks.flat().map((item) => item.x + item.width));
    node.width = Math.max(width, titleWidth) + 2 * side;
    node.height = bottom + side;
    for (const item of this.ranks.flat()) item.x += (node.width - width) / 2;
    for (const item of this.exits) [item.y, item.band] = [node.height, [node.height, node.height]];
  }

  /* Edges that end at one box end side by side. */
  fan() {
    for (const item of this.node.children) {
      const ends = this.above.get(item).filter((join) => !join.lower.port);
      ends.sort((a, b) => attach(a.upper) - attach(b.upper));
      const step = Math.min(16, (item.width - 24) / ends.length);
      ends.forEach((join, i) => {
        join.end = attach(join.lower) + (i - (ends.length - 1) / 2) * step;
      });
    }
  }

  /* The points of a link on the page: upright inside of a rank. */
  route(tail, head) {
    const points = [
      [attach(tail), tail.item.y + tail.item.height],
      [attach(tail), tail.item.band[1]],
    ];
    let last = tail;
    for (let rank = tail.item.rank + 1; rank < head.item.rank; rank++) {
      const item = this.bridgeAt(tail, rank);
      points.push(...item.band.map((y) => [item.x, y]));
      last = { item };
    }
    const end = this.joins.get(keyOf(last, head))?.end ?? attach(head);
    points.push([end, head.item.band[0]], [end, head.item.y]);
    const isNew = ([x, y], i) => !i || x !== points[i - 1][0] || y !== points[i - 1][1];
    return points.filter(isNew).map(([x, y]) => [this.node.left + x, this.node.top + y]);
  }
}

/* Place the items of a rank where they want to be, as closely as their order and the room
   between them allow: isotonic regression by pooling adjacent violators. */
function separate(rank, wanted) {
  const blocks = [];
  const offsets = [];
  rank.forEach((item, i) => {
    const before = rank[i - 1];
    const gap = item.bridge || before?.bridge ? SPACE.bridge : SPACE.across;
    offsets.push(before ? offsets[i - 1] + before.width + gap : 0);
    let block = { x: wanted[i].x - offsets[i], weight: wanted[i].weight, items: [i] };
    while (blocks.length && blocks.at(-1).x > block.x) {
      const left = blocks.pop();
      const weight = left.weight + block.weight;
      const x = (left.x * left.weight + block.x * block.weight) / weight;
      block = { x, weight, items: [...left.items, ...block.items] };
    }
    blocks.push(block);
  });
  for (const { x, items } of blocks) for (const i of items) rank[i].x = x + offsets[i];
}

/* How many pairs of numbers stand in the wrong order. */
function inversions(numbers) {
  if (numbers.length < 2) return 0;
  const middle = numbers.length >> 1;
  const [left, right] = [numbers.slice(0, middle), numbers.slice(middle)];
  let count = inversions(left) + inversions(right);
  left.sort((a, b) => a - b);
  right.sort((a, b) => a - b);
  let smaller = 0;
  for (const x of left) {
    while (smaller < right.length && right[smaller] < x) smaller += 1;
    count += smaller;
  }
  return count;
}

function mean(numbers) {
  return numbers.reduce((a, b) => a + b, 0) / numbers.length;
}

/* Lists by key; an empty list for a key that none has. */
class Lists extends Map {
  get(key) {
    return super.get(key) ?? [];
  }
}

function groupBy(things, keyOfThing) {
  const lists = new Lists();
  for (const thing of things) {
    const key = keyOfThing(thing);
    if (!lists.has(key)) lists.set(key, []);
    lists.get(key).push(thing);
  }
  return lists;
}
