"use strict";

/* The picture of a graph: drawn here if the page holds its DOT text, then moved and zoomed by its
   viewBox, so that lines and letters stay sharp. */

const LARGEST_FIT = 1.6; // CSS pixels to a point: a small graph is not blown up to fill the window
const SMALLEST_FIT = 0.5; // a large one begins with what can be read
const STEP = 1.25; // a key or button makes it so many times as large
const MOVE = 60; // CSS pixels that an arrow key moves it

function showGraph(frame, svg) {
  // A title shows itself while the mouse rests on it; those of Graphviz are names like "n3".
  for (const title of svg.querySelectorAll("title")) title.remove();
  const { x: left, y: top, width, height } = svg.viewBox.baseVal;
  const whole = { x: left + width / 2, y: top + height / 2 };
  svg.removeAttribute("width");
  svg.removeAttribute("height");
  let centre, scale, fitted; // a point of the picture, points to a CSS pixel

  function show() {
    const [w, h] = [frame.clientWidth * scale, frame.clientHeight * scale];
    svg.setAttribute("viewBox", `${centre.x - w / 2} ${centre.y - h / 2} ${w} ${h}`);
  }
  function fit() {
    centre = { ...whole };
    scale = Math.max(width / frame.clientWidth, height / frame.clientHeight, 1 / LARGEST_FIT);
    fitted = true;
    show();
  }
  function move(dx, dy) {
    centre.x += dx * scale;
    centre.y += dy * scale;
    fitted = false;
    show();
  }
  /* All of it, or of a large graph the beginning. */
  function start() {
    fit();
    if (scale > 1 / SMALLEST_FIT) {
      scale = Math.min(Math.max(1, width / frame.clientWidth), 1 / SMALLEST_FIT);
      centre.y = top + (frame.clientHeight / 2) * scale;
      fitted = false;
      show();
    }
  }
  /* Zoom around the place that lies (dx, dy) CSS pixels from the middle of the frame. */
  function zoom(factor, dx = 0, dy = 0) {
    move(dx, dy);
    scale /= factor;
    move(-dx, -dy);
  }

  frame.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = frame.getBoundingClientRect();
    const dx = event.clientX - box.left - box.width / 2;
    const dy = event.clientY - box.top - box.height / 2;
    zoom(Math.exp(-0.002 * event.deltaY), dx, dy);
  }, { passive: false });
  frame.addEventListener("pointerdown", (event) => frame.setPointerCapture(event.pointerId));
  frame.addEventListener("pointermove", (event) => {
    if (event.buttons & 1) move(-event.movementX, -event.movementY);
  });
  const keys = {
    "+": () => zoom(STEP), "=": () => zoom(STEP), "-": () => zoom(1 / STEP), 0: fit,
    ArrowLeft: () => move(-MOVE, 0), ArrowRight: () => move(MOVE, 0),
    ArrowUp: () => move(0, -MOVE), ArrowDown: () => move(0, MOVE),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
  document.getElementById("closer").addEventListener("click", keys["+"]);
  document.getElementById("farther").addEventListener("click", keys["-"]);
  document.getElementById("fit").addEventListener("click", fit);
  // The first call comes when the frame has its size.
  new ResizeObserver(() => {
    if (fitted === undefined) start();
    else if (fitted) fit();
    else show();
  }).observe(frame);
}

const graphFrame = document.getElementById("graph");
const { dot } = pageData();
if (dot === undefined) {
  showGraph(graphFrame, graphFrame.querySelector("svg"));
} else {
  Viz.instance().then((viz) => {
    const svg = viz.renderSVGElement(dot);
    graphFrame.replaceChildren(svg);
    showGraph(graphFrame, svg);
  }).catch((error) => {
    graphFrame.replaceChildren(element("pre", {}, `The picture could not be drawn: ${error}\n\n${dot}`));
  });
}
