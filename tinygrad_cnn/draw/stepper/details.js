/* What happens at a step: the rule, the numbers, where they come from and where they go. */

const PHASES = {
  start: "given",
  forward: "forward",
  seed: "backward",
  backward: "backward",
  end: "gradients",
};

class Details extends Parts {
  /* The step, in the box that it is seen in; or a box that was selected. */
  show(step, box, selected, boxOf) {
    const { phase, vertex } = this.model.steps[step];
    Object.assign(this, { step, boxOf });
    const parts = selected
      ? this.chosen(selected)
      : {
          start: () => this.start(),
          forward: () => (box.only ? this.forward(vertex, box) : this.foldedForward(box, vertex)),
          seed: () => this.seed(),
          backward: () =>
            box.only ? this.backward(vertex, box) : this.foldedBackward(box, vertex),
          end: () => this.end(),
        }[phase]();
    this.panel.replaceChildren(...parts.filter(Boolean));
    this.panel.scrollTop = 0;
  }

  /* -- the kinds of steps --------------------------------------------------------------------- */

  start() {
    const given = this.model.vertices.filter(
      (vertex) => !vertex.op && !(vertex.kind === "constant" && !vertex.shape.length),
    );
    return [
      this.heading("given", "What the computation starts from"),
      element(
        "p",
        {},
        "Inputs, parameters and variables have their values before the first operation.",
      ),
      this.gallery(given, (vertex) => vertex.value),
    ];
  }

  end() {
    const leaves = this.model.vertices.filter((vertex) => !vertex.op && vertex.grad !== undefined);
    return [
      this.heading("gradients", "Every gradient has arrived"),
      element("p", {}, "This is what backward() adds to .grad of each variable and parameter."),
      this.gallery(leaves, (vertex) => vertex.grad),
    ];
  }

  forward(vertex, box) {
    return [
      this.heading("forward", titleInside(box, vertex), box.item),
      this.formula(vertex.math),
      vertex.set ? element("p", { class: "settings" }, vertex.set) : null,
      equation(...this.operands(vertex.operands), [
        "→",
        this.figure(vertex.value, this.label(vertex), "result"),
      ]),
      this.source(vertex),
      this.usedBy(vertex),
    ];
  }

  seed() {
    const { result } = this.model;
    return [
      this.heading("backward", "Backprop starts at the result", result),
      element(
        "p",
        {},
        result.shape.length
          ? "The gradient of the result by itself, or the upstream gradient that was given."
          : "A small change of the result changes the result by as much: the gradient to start from is 1, unless another was given.",
      ),
      equation(
        this.figure(result.value, this.label(result)),
        this.figure(result.grad, "upstream", "gradient"),
      ),
    ];
  }

  backward(vertex, box) {
    const shared = vertex.contributions.length > 1 ? [this.ledger(vertex)] : [];
    if (!vertex.passes.length)
      shared.push(element("p", {}, "No operand takes a gradient: it ends here."));
    return [
      this.heading("backward", titleInside(box, vertex), box.item),
      ...shared,
      ...vertex.passes.map((pass) => this.pass(pass)),
      this.source(vertex),
    ];
  }

  /* upstream times local is downstream, for one operand */
  pass(pass) {
    const { from, to, form, axes } = pass;
    const upstream = this.figure(from.grad, "upstream", "gradient");
    const local =
      pass.factor === undefined ? null : this.figure(pass.factor, this.localName(pass), "local");
    const down = () => this.figure(pass.down, "downstream", "gradient");
    const arrays = from.shape.length || to.shape.length;
    const times = from.shape.length || to.shape.length ? "⊙" : "×";
    const words = (text) => element("span", { class: "words" }, text);
    const line = {
      product: () => [upstream, [times, local]],
      spread: () => [upstream, words(`repeated along ${axesText(axes)}`), [times, local]],
      matmul: () => (pass.index ? [local, ["@", upstream]] : [upstream, ["@", local]]),
      moved: () => [upstream, ["→", words(this.model.text(pass.words) || "moved by the rule")]],
    }[form]();
    const summed = pass.whole !== undefined;
    line.push([form === "moved" ? "→" : "=", summed ? this.figure(pass.whole, "product") : down()]);
    return element(
      "section",
      { class: "pass" },
      element(
        "h3",
        {},
        "to ",
        this.link(to, this.name(to)),
        element("span", { class: "muted" }, ` operand ${pass.index + 1}`),
      ),
      this.formula(pass.math) ?? "",
      equation(...line),
      summed
        ? equation(words(`summed over ${axesText(axes)}, along which the operand was broadcast`), [
            "=",
            down(),
          ])
        : "",
      to.contributions.length > 1 ? this.ledger(to) : "",
    );
  }

  localName(pass) {
    if (pass.form === "matmul")
      return `${this.name(pass.from.operands[1 - pass.index])}, transposed`;
    const payload = this.model.payload(pass.factor);
    return payload && !payload.shape.length && pass.from.shape.length
      ? "local, the same everywhere"
      : "local";
  }

  /* -- folded boxes --------------------------------------------------------------------------- */

  foldedForward(box, vertex) {
    const given = [
      ...new Set(
        box.computed.flatMap((one) => one.operands).filter((one) => !box.members.includes(one)),
      ),
    ];
    const inside = box.members.filter((one) => !one.op && one.kind !== "constant");
    return [
      this.heading("forward", box.titles.join(" · "), box.item, box.item.type),
      settingsOf(box.item) ? element("p", { class: "settings" }, settingsOf(box.item)) : null,
      equation(...this.operands([...given, ...inside]), [
        "→",
        box.result.forward <= this.step
          ? this.figure(box.result.value, this.label(box.result), "result")
          : element("span", { class: "words" }, `its result, at step ${box.result.forward}`),
      ]),
      this.source(vertex),
      this.inside(box, "forward", "computed inside"),
    ];
  }

  foldedBackward(box, vertex) {
    const leaving = box.leaving.filter((one) => one.grad !== undefined);
    const crossing = box.computed
      .flatMap((one) => one.passes)
      .filter((pass) => !box.members.includes(pass.to) || !pass.to.op);
    const passed = [...groupBy(crossing, (pass) => pass.to).entries()].sort(
      (a, b) => lastStep(a[1]) - lastStep(b[1]),
    );
    const figures = passed
      .slice(0, MOST_OPERANDS)
      .flatMap(([to, passes]) => this.passedOn(to, passes));
    const rest = passed.length - MOST_OPERANDS;
    return [
      this.heading("backward", box.titles.join(" · "), box.item, box.item.type),
      ...leaving.filter((one) => one.contributions.length > 1).map((one) => this.ledger(one)),
      equation(
        ...separated(
          leaving.map((one) => this.figure(one.grad, "upstream", "gradient")),
          ",",
        ),
        ...figures.map((figure, i) => [i ? "," : "→", figure]),
        ...(rest > 0 ? [`and ${rest} more`] : []),
      ),
      this.inside(box, "backward", "the chain rule inside"),
      ...passed
        .filter(([to]) => to.contributions.length > 1)
        .slice(0, MOST_OPERANDS)
        .map(([to]) => this.ledger(to)),
      this.source(vertex),
    ];
  }

  /* What a folded box passes on to one operand: summed where it is several numbers. */
  passedOn(to, passes) {
    const here = passes.filter((pass) => pass.from.backward <= this.step);
    const name = `downstream: to ${this.name(to)}`;
    if (here.length < passes.length) {
      return [element("span", { class: "words" }, `${name}, at step ${lastStep(passes)}`)];
    }
    const sum = passes.length > 1 && this.sumOf(passes);
    if (!sum) return passes.map((pass) => this.figure(pass.down, name, "gradient"));
    const label = `${name}, ${passes.length} times`;
    return [
      element(
        "div",
        { class: "operand gradient" },
        element("span", { class: "label", title: label }, label),
        arrayOrNumber(sum),
      ),
    ];
  }

  /* The steps inside a folded box; one of them unfolds it. */
  inside(box, phase, title) {
    const listed = box.computed
      .filter((vertex) => vertex[phase] !== undefined)
      .sort((a, b) => a[phase] - b[phase]);
    const rows = listed
      .slice(0, MOST_LISTED)
      .map((vertex) =>
        element(
          "tr",
          { class: vertex[phase] <= this.step ? "" : "later" },
          element("td", {}, String(vertex[phase])),
          element(
            "td",
            {},
            element(
              "button",
              { class: "link", onclick: () => this.unfold(vertex, vertex[phase]) },
              titleOf(vertex),
            ),
          ),
          element("td", {}, shapeText(vertex.shape)),
        ),
      );
    return element(
      "section",
      {},
      element("h3", {}, `${title}: ${listed.length} ${listed.length === 1 ? "step" : "steps"}`),
      element("table", { class: "steps" }, ...rows),
      listed.length > MOST_LISTED
        ? element(
            "p",
            { class: "muted" },
            `and ${listed.length - MOST_LISTED} more; unfold the box to see them`,
          )
        : "",
    );
  }

  /* -- a box that was clicked and takes part in no step of its own ----------------------------- */

  chosen(box) {
    const { item } = box;
    if (item.children) {
      return [
        this.heading("given", box.titles.join(" · ")),
        this.gallery(box.members, (vertex) => vertex.value),
      ];
    }
    const complete = item.complete <= this.step;
    return [
      this.heading("given", this.name(item), item, KINDS[item.kind]),
      equation(
        this.figure(item.value, "value"),
        ...(item.grad !== undefined && complete
          ? [this.figure(item.grad, "gradient", "gradient")]
          : []),
      ),
      item.grad === undefined && item.kind !== "constant"
        ? element("p", { class: "muted" }, "No gradient was asked for.")
        : null,
      item.contributions.length ? this.ledger(item) : null,
      this.usedBy(item),
    ];
  }
}
