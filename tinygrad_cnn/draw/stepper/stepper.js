/* The page: which step is shown, how far the graph is folded, keys, search and address. */

const PAUSE = 900; // milliseconds of a step while it plays
const HELP = [
  ["→  ←", "next and previous step, box by box at the present folding"],
  ["Home  End", "what is given; all gradients"],
  ["Space", "play or pause"],
  ["1  2  3", "fold to layers or functions; unfold to primitives"],
  ["click", "go to the step of a box; again: from forward to backward and back"],
  ["double click  Enter", "fold or unfold a box, as its + and − do"],
  ["drag  wheel  +  -  0", "move, enlarge, shrink, fit the graph"],
  ["/", "search by name, operation, path or shape"],
  ["?", "this page"],
];

class Stepper {
  constructor() {
    const data = pageData();
    this.model = new Model(data);
    this.view = new GraphView(this.model, {
      onBox: (box) => this.press(box),
      onFold: (item) => this.toggle(item),
    });
    this.details = new Details(this.model, {
      go: (step, vertex) => this.goTo(step, vertex),
      unfold: (vertex, step) => this.unfold(vertex, step),
    });
    this.step = 0;
    this.selected = null; // the item of a box that has no step of its own
    this.at = (id) => document.getElementById(id);
    this.at("title").textContent = data.title;
    this.at("time").max = this.model.last;
    this.at("forward").style.flexGrow = this.model.seed;
    this.at("backward").style.flexGrow = this.model.last - this.model.seed;
    this.listen();
    this.fromAddress();
  }

  /* -- steps ------------------------------------------------------------------------------------ */

  go(step, selected = null) {
    this.step = Math.min(this.model.last, Math.max(0, step));
    this.selected = selected;
    this.refresh();
    const { vertex } = this.model.steps[this.step];
    const node = this.view.nodeOf(selected ?? vertex ?? this.model.result);
    if (node && (selected || vertex)) this.view.camera.reveal(node);
    clearTimeout(this.addressed); // a browser refuses an address that changes all the time
    this.addressed = setTimeout(
      () => history.replaceState(null, "", `#step=${this.step}&zoom=${this.zoom}`),
      100,
    );
  }

  refresh() {
    const { model, view, step, selected } = this;
    const node = selected && view.nodeOf(selected);
    const active = view.show(step, node);
    this.details.show(step, active, node, view.boxOf);
    this.at("time").value = step;
    const { phase, vertex } = model.steps[step];
    const what = vertex
      ? [...pathOf(vertex), titleOf(vertex)].join(" / ")
      : { start: "all that is given", end: "all gradients" }[phase];
    const caption = phase === "seed" ? `the gradient starts at ${what}` : what;
    this.at("caption").textContent =
      `Step ${step} of ${model.last} · ${PHASES[phase]} · ${caption}`;
    this.at("first").disabled = this.at("previous").disabled = step === 0;
    this.at("last").disabled = this.at("next").disabled = step === model.last;
  }

  next() {
    this.go(this.stops.find((stop) => stop > this.step) ?? this.model.last);
  }

  previous() {
    this.go(this.stops.findLast((stop) => stop < this.step) ?? 0);
  }

  play(on = !this.timer) {
    clearInterval(this.timer);
    this.timer = 0;
    if (on) {
      if (this.step === this.model.last) this.go(0);
      this.timer = setInterval(
        () => (this.step < this.model.last ? this.next() : this.play(false)),
        PAUSE,
      );
    }
    this.at("play").textContent = on ? "Pause" : "Play";
    this.at("play").setAttribute("aria-pressed", String(Boolean(on)));
  }

  /* A click: to the step of the box in the present phase; at that step, to the other phase. */
  press(box) {
    this.play(false);
    if (!box.computed.length) {
      this.go(this.step, box.item);
      return;
    }
    const isBack = this.step >= this.model.seed;
    const here = this.view.boxOf.get(this.model.steps[this.step].vertex) === box && !this.selected;
    const wantsBack = here ? !isBack : isBack;
    this.go(wantsBack && box.backward !== null ? box.backward : box.forward);
  }

  goTo(step, vertex) {
    this.play(false);
    if (vertex.op) this.go(step);
    else this.go(this.step, this.view.nodeOf(vertex).item);
  }

  /* -- folding ------------------------------------------------------------------------------- */

  setZoom(zoom) {
    this.folded(this.model.setZoom(zoom), zoom);
    this.view.camera.fit(this.view.root);
    this.go(this.step, this.selected);
  }

  /* After folding: draw, and say where the boxes are too many. */
  folded(zoom, wanted = zoom, anchor = null) {
    this.zoom = zoom;
    this.view.rebuild(anchor);
    this.stops = stopsOf(this.model, this.view.boxes);
    for (const button of document.querySelectorAll("[data-zoom]")) {
      button.setAttribute("aria-pressed", String(button.dataset.zoom === zoom));
    }
    const runs = this.model.groups.some((group) => group.kind === "run" && !group.open);
    const notes = [
      zoom !== wanted &&
        `Unfolded to ${wanted}, more than ${MOST_BOXES} boxes would be seen: these are the ${zoom}.`,
      runs && "Operations that follow each other in great number are folded into runs.",
      this.model.leftOut &&
        `${this.model.leftOut} arrays are left out: with them this page would be too large.`,
    ].filter(Boolean);
    this.at("notice").textContent = notes.join(" ");
    this.at("notice").hidden = !notes.length;
  }

  toggle(item) {
    if (!item.children) return;
    item.open = !item.open;
    this.folded(this.zoom, this.zoom, item);
    this.refresh();
    this.view.camera.reveal(this.view.nodeOf(item));
  }

  unfold(vertex, step) {
    this.play(false);
    this.model.reveal(vertex);
    this.folded(this.zoom, this.zoom, this.model.steps[this.step].vertex);
    this.go(step, vertex.op ? null : vertex);
  }

  /* -- search --------------------------------------------------------------------------------- */

  search() {
    const wanted = this.at("search").value.trim().toLowerCase().replaceAll("x", "×");
    const list = this.at("found");
    const words = wanted.split(/\s+/).filter(Boolean);
    const found = !words.length
      ? []
      : this.model.vertices.filter((vertex) => {
          const text = [
            ...pathOf(vertex),
            vertex.name ?? "",
            vertex.op ?? vertex.kind,
            shapeText(vertex.shape),
          ].join(" ");
          return words.every((word) => text.toLowerCase().replaceAll("x", "×").includes(word));
        });
    this.found = found.slice(0, 12);
    this.choice = 0;
    list.replaceChildren(
      ...this.found.map((vertex, i) =>
        element(
          "li",
          {
            role: "option",
            id: `found-${i}`,
            "aria-selected": String(i === 0),
            onpointerdown: (event) => {
              event.preventDefault();
              this.choose(i);
            },
          },
          element("b", {}, titleOf(vertex)),
          ` ${shapeText(vertex.shape)} `,
          element("span", { class: "muted" }, pathOf(vertex).join(" / ")),
        ),
      ),
    );
    if (found.length > 12)
      list.append(element("li", { class: "muted" }, `and ${found.length - 12} more`));
    if (words.length && !found.length)
      list.append(
        element("li", { class: "muted" }, "nothing has this name, operation, path or shape"),
      );
    list.hidden = !words.length;
    this.at("search").setAttribute("aria-expanded", String(!list.hidden));
  }

  choose(i) {
    const vertex = this.found[i];
    if (!vertex) return;
    this.closeSearch();
    this.unfold(vertex, vertex.op ? vertex.forward : this.step);
  }

  closeSearch() {
    this.at("search").value = "";
    this.search();
    this.at("search").blur();
  }

  searchKey(event) {
    const count = this.found?.length ?? 0;
    if (event.key === "Escape") this.closeSearch();
    if (event.key === "Enter") this.choose(this.choice);
    if (!["ArrowDown", "ArrowUp"].includes(event.key) || !count) return;
    event.preventDefault();
    this.choice = (this.choice + (event.key === "ArrowDown" ? 1 : count - 1)) % count;
    [...this.at("found").children].forEach((item, i) =>
      item.setAttribute("aria-selected", String(i === this.choice)),
    );
    this.at("search").setAttribute("aria-activedescendant", `found-${this.choice}`);
  }

  /* -- keys, buttons, address -------------------------------------------------------------------- */

  listen() {
    const buttons = {
      first: () => this.go(0),
      previous: () => this.previous(),
      next: () => this.next(),
      last: () => this.go(this.model.last),
      ask: () => this.help(),
    };
    for (const [id, act] of Object.entries(buttons))
      this.at(id).addEventListener("click", () => {
        this.play(false);
        act();
      });
    this.at("play").addEventListener("click", () => this.play());
    this.at("time").addEventListener("input", (event) => {
      this.play(false);
      this.go(this.stops.find((stop) => stop >= Number(event.target.value)));
    });
    for (const button of document.querySelectorAll("[data-zoom]"))
      button.addEventListener("click", () => this.setZoom(button.dataset.zoom));
    this.at("search").addEventListener("input", () => this.search());
    this.at("search").addEventListener("keydown", (event) => this.searchKey(event));
    this.at("search").addEventListener("blur", () => {
      this.at("found").hidden = true;
    });
    addEventListener("keydown", (event) => this.key(event));
    addEventListener("hashchange", () => this.fromAddress());
    addEventListener("resize", () => {
      this.view.camera.fit(this.view.root);
      this.go(this.step, this.selected);
    });
  }

  key(event) {
    if (
      event.target === this.at("search") ||
      this.at("help").open ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey
    )
      return;
    if (event.key === " " && event.target.closest("button")) return; // it presses the button
    const act = {
      ArrowRight: () => this.next(),
      ArrowLeft: () => this.previous(),
      Home: () => this.go(0),
      End: () => this.go(this.model.last),
      " ": () => this.play(),
      "/": () => this.at("search").focus(),
      "?": () => this.help(),
      1: () => this.setZoom("layers"),
      2: () => this.setZoom("functions"),
      3: () => this.setZoom("primitives"),
      "+": () => this.view.camera.zoomBy(1.25),
      "-": () => this.view.camera.zoomBy(0.8),
      0: () => this.view.camera.fit(this.view.root),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    if (event.key !== " ") this.play(false);
    act();
  }

  /* "#step=12&zoom=layers" */
  fromAddress() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const zoom = ZOOMS.includes(wanted.get("zoom")) ? wanted.get("zoom") : null;
    const step = /^\d+$/.test(wanted.get("step") ?? "") ? Number(wanted.get("step")) : 0;
    if (zoom ? zoom !== this.zoom : !this.zoom) {
      this.folded(this.model.setZoom(zoom ?? this.model.overview()), zoom ?? undefined);
      this.view.camera.fit(this.view.root);
    }
    this.go(step);
  }

  help() {
    const dialog = this.at("help");
    const keys = (text) => text.split("  ").flatMap((key) => [element("kbd", {}, key), " "]);
    const rows = HELP.map(([pressed, what]) =>
      element("tr", {}, element("th", {}, ...keys(pressed)), element("td", {}, what)),
    );
    const { seed } = this.model;
    const texts = [
      "In a box its value stands left and its gradient right. A dashed edge lets no gradient back.",
      "Heat maps: blue is negative, white zero, orange positive; where all numbers have one sign, from dark blue, the smallest, to yellow, the largest.",
      `A step is one primitive operation. Step 0 shows what is given, steps 1 to ${seed - 1} compute the result, step ${seed} starts backprop, ` +
        "the steps after it pass gradients on. The numbers do not depend on folding: a folded box is done at the step of its last operation, " +
        "and #step=12 in the address opens step 12, in the box that it belongs to.",
    ];
    dialog.replaceChildren(
      element("h2", {}, "Step by step"),
      element("table", {}, ...rows),
      ...texts.map((text) => element("p", {}, text)),
      element("form", { method: "dialog" }, element("button", { class: "primary" }, "Close")),
    );
    dialog.showModal();
  }
}

new Stepper();
