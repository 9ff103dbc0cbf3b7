/* A canvas to draw on, and what the network says about it. */

const SENT = 112; // pixels along an edge, as session.py expects

const pad = byId("pad");
let stroked = false;

/* The pad in its own pixels: as many as the screen has. */
function preparePad() {
  const side = Math.round(pad.clientWidth * devicePixelRatio);
  if (!side || pad.width === side) return;
  pad.width = side;
  pad.height = side;
  stroked = false;
}

function clearPad() {
  pad.getContext("2d").clearRect(0, 0, pad.width, pad.height);
  stroked = false;
  byId("drawing-hint").textContent = "with the mouse or a finger";
}

let last = null;

function placeOf(event) {
  const box = pad.getBoundingClientRect();
  const scale = pad.width / box.width;
  return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
}

function draw(event) {
  const context = pad.getContext("2d");
  context.strokeStyle = getComputedStyle(pad).color;
  context.lineWidth = model.pen * pad.width;
  context.lineCap = "round";
  context.lineJoin = "round";
  context.beginPath();
  context.moveTo(...last);
  last = placeOf(event);
  context.lineTo(...last);
  context.stroke();
  stroked = true;
  sendDrawing();
}

pad.addEventListener("pointerdown", (event) => {
  preparePad();
  pad.setPointerCapture(event.pointerId);
  last = placeOf(event);
  draw(event); // a dot
});
pad.addEventListener("pointermove", (event) => {
  if (last) draw(event);
});
for (const end of ["pointerup", "pointercancel"]) {
  pad.addEventListener(end, () => {
    last = null;
  });
}

const sendDrawing = paced(async () => {
  if (!stroked) return;
  try {
    await send("draw", { ink: inkOf(pad) });
  } catch (refusal) {
    byId("drawing-hint").textContent = refusal.message;
  }
}, 150);

/* What is drawn as base64 of bytes, 255 for ink: the canvas is transparent where there is none. */
function inkOf(canvas) {
  const small = element("canvas", { width: SENT, height: SENT });
  const context = small.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(canvas, 0, 0, SENT, SENT);
  const { data } = context.getImageData(0, 0, SENT, SENT);
  let bytes = "";
  for (let i = 3; i < data.length; i += 4) bytes += String.fromCharCode(data[i]);
  return btoa(bytes);
}

byId("clear").addEventListener("click", () => {
  clearPad();
  send("clear").catch(() => {});
});

function showDrawing(drawing) {
  const bars = byId("bars");
  byId("seen").hidden = !drawing;
  const shares = new Map(drawing?.best ?? []);
  const names = model.classes.length <= 12 ? model.classes : [...shares.keys()];
  const rows = names.map((name) => [name, shares.get(name) ?? 0]);
  setGuesses(bars, rows, drawing?.best?.[0]?.[0]);
  bars.classList.toggle("idle", !drawing);
  if (!drawing) return;
  paintTiles(byId("seen"), drawing.tiles, 1, 64);
  byId("drawing-hint").textContent = drawing.best
    ? `it looks like ${drawing.best[0][0]} (${percentage(drawing.best[0][1])})`
    : "";
}
