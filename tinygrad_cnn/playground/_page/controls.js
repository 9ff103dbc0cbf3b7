/* What is asked of the session, and how it stands. */

let state = { running: false, settings: {} };

/* -- choosing and building ------------------------------------------------------------------ */

function showSetup(setup) {
  fill(byId("data"), Object.entries(setup.data));
  fill(byId("network"), Object.entries(setup.networks));
  fill(byId("optimizer"), setup.optimizers.map((name) => [name, name]));
}

function fill(select, choices) {
  select.replaceChildren(...choices.map(([value, text]) => element("option", { value }, text)));
}

/* What the form asks for. */
function wanted() {
  const network = byId("network").value;
  const pattern = network === "pattern" ? byId("pattern").value : "";
  return { data: byId("data").value, network, pattern, seed: Number(byId("seed").value) };
}

let built = "";

function followBuilt({ choice }) {
  const { data, network, pattern, seed } = choice;
  byId("data").value = data;
  byId("network").value = network;
  byId("seed").value = seed;
  if (network === "pattern") byId("pattern").value = pattern;
  built = JSON.stringify(wanted());
  showProblem(null);
  followForm();
}

function followForm() {
  const open = JSON.stringify(wanted()) !== built;
  byId("build-button").classList.toggle("primary", open);
  byId("pattern-label").hidden = byId("network").value !== "pattern";
}

async function build() {
  byId("build-button").disabled = true;
  setStatus("busy", "building …");
  try {
    await send("build", wanted());
    return true;
  } catch (refusal) {
    showProblem(refusal);
    return false;
  } finally {
    byId("build-button").disabled = false;
    showStatus();
  }
}

/* What is wrong, and under it the pattern with the place marked. */
function showProblem(refusal) {
  const box = byId("problem");
  box.hidden = !refusal;
  const placed = refusal?.position !== undefined;
  byId("pattern").setAttribute("aria-invalid", String(Boolean(placed)));
  if (!refusal) return;
  box.replaceChildren(element("p", {}, refusal.message));
  if (!placed) return;
  const pattern = byId("pattern").value;
  const end = refusal.position + refusal.length;
  const mark = pattern.slice(refusal.position, end) || " "; // behind the end
  box.append(
    element("pre", {}, pattern.slice(0, refusal.position), element("mark", {}, mark), pattern.slice(end)),
  );
  byId("pattern").focus();
  byId("pattern").setSelectionRange(refusal.position, end);
}

byId("build").addEventListener("submit", (event) => {
  event.preventDefault();
  build();
});
byId("build").addEventListener("input", followForm);
byId("pattern").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    build();
  }
});

/* -- training ------------------------------------------------------------------------------- */

byId("train").addEventListener("click", async () => {
  if (state.running) return attempt("pause");
  if (JSON.stringify(wanted()) !== built && !(await build())) return undefined;
  return attempt("train");
});
byId("step").addEventListener("click", () => attempt("step"));
byId("reset").addEventListener("click", () => attempt("reset"));
byId("others").addEventListener("click", () => attempt("others"));
byId("optimizer").addEventListener("change", (event) => set("optimizer", event.target.value));

const SETTINGS = ["lr", "momentum", "weight_decay", "batch_size"];
for (const name of SETTINGS) {
  byId(name).addEventListener("change", (event) => set(name, Number(event.target.value)));
}
const slide = paced(set, 100);
for (const slider of document.querySelectorAll("input[type=range]")) {
  slider.addEventListener("input", () => {
    const name = slider.dataset.for;
    const value = name === "lr" ? Number((10 ** slider.value).toPrecision(2)) : Number(slider.value);
    byId(name).value = value;
    slide(name, value);
  });
}

function set(name, value) {
  return attempt("set", { name, value });
}

async function attempt(command, details) {
  try {
    await send(command, details);
    showFailure(state.error);
  } catch (refusal) {
    showFailure({ what: refusal.message, where: "" });
    showSettings();
  }
}

function showFailure(error) {
  const box = byId("failure");
  box.hidden = !error;
  if (error) {
    box.replaceChildren(
      element("pre", {}, error.what),
      ...(error.where ? [element("p", { class: "muted" }, error.where)] : []),
    );
  }
}

/* -- how it stands -------------------------------------------------------------------------- */

function showState(value) {
  const failed = JSON.stringify(value.error) !== JSON.stringify(state.error);
  state = value;
  if (failed) showFailure(value.error);
  showStatus();
  byId("train").textContent = value.running ? "Pause" : "Train";
  byId("train").setAttribute("aria-pressed", String(value.running));
  byId("steps").textContent = value.steps.toLocaleString("en");
  byId("epoch").textContent = value.epoch;
  const { batch_size } = value.settings;
  byId("rate").textContent =
    value.rate && batch_size ? Math.round(value.rate * batch_size).toLocaleString("en") : "–";
  byId("training-figures").textContent = figures(value);
  byId("judged-by").textContent = value.judged_by === null ? "no validation data"
    : `of ${value.judged_by.toLocaleString("en")} validation images`;
  byId("validation-figures").textContent = value.validation ? figures(value.validation) : "–";
  showSettings();
}

function figures({ loss, accuracy }) {
  if (loss === null) return "–";
  return accuracy === null ? formatNumber(loss) : `${percentage(accuracy)} · ${formatNumber(loss)}`;
}

function showSettings() {
  const { settings } = state;
  for (const name of ["optimizer", ...SETTINGS]) {
    const field = byId(name);
    const value = settings[name] ?? null;
    field.closest("label").hidden = value === null;
    if (value === null || document.activeElement === field) continue;
    field.value = value;
    const slider = document.querySelector(`[data-for=${name}]`);
    if (slider && document.activeElement !== slider) {
      slider.value = name === "lr" ? Math.log10(value) : value;
    }
  }
}

function showStatus() {
  if (state.steps === undefined) return; // nothing was told yet
  setStatus(...(state.error ? ["failed", "stopped by an error"]
    : state.running ? ["running", "training"] : ["paused", "paused"]));
}

function setStatus(name, text) {
  byId("status").dataset.state = name;
  byId("status").textContent = text;
}

listen(
  {
    setup: showSetup,
    model: (value) => {
      showModel(value);
      followBuilt(value);
    },
    curve: showCurve,
    examples: showExamples,
    looks: showLooks,
    state: showState,
  },
  (open) => {
    if (open) showStatus();
    else setStatus("lost", "no connection");
  },
);
