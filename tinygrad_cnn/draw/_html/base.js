"use strict";

/* The data that Python embedded in this page. */
function pageData() {
  return parsed(document.getElementById("data").textContent);
}

/* JSON as Python wrote it, with NaN and the infinities as numbers again. */
function parsed(text) {
  return JSON.parse(text, (_, value) =>
    value !== null && typeof value === "object" && "$float" in value
      ? Number(value.$float)
      : value,
  );
}

/* A DOM element. Attributes: an object; "on..." functions listen. Children: elements and texts,
   which are shown as they are, never read as HTML. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/* A number as a reader wants it: whole numbers whole, others to four significant digits. */
function formatNumber(x) {
  return formatDigits(x, 4);
}

function formatDigits(x, digits) {
  if (typeof x !== "number") return String(x);
  if (Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "-∞";
  const size = Math.abs(x);
  if (Number.isInteger(x) && size < 1e7) return String(x || 0); // no -0
  if (size >= 10 ** digits && size < 1e6) return String(Math.round(x));
  const rounded = Number(x.toPrecision(digits));
  if (size < 1e6 && Math.abs(rounded) >= 1e-3) return String(rounded);
  const [mantissa, power] = x.toExponential(digits - 1).split("e");
  return `${Number(mantissa)}e${Number(power)}`;
}

/* Shares of a page's colours: a faint background for a number between -limit and limit. */
function heatColour(x, limit, strongest = 55) {
  if (!Number.isFinite(x)) return "color-mix(in srgb, var(--not-finite) 30%, transparent)";
  const share = limit > 0 ? Math.min(Math.abs(x) / limit, 1) * strongest : 0;
  const hue = x < 0 ? "--negative" : "--positive";
  return `color-mix(in srgb, var(${hue}) ${share.toFixed(1)}%, transparent)`;
}

/* So many colours, [r, g, b, a], of a colour map of base.css: "--diverging" or "--sequential". */
function colourMap(name, count) {
  const stops = getComputedStyle(document.documentElement).getPropertyValue(name).split(",");
  const canvas = element("canvas", { width: count, height: 1 });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const gradient = context.createLinearGradient(0, 0, count, 0);
  stops.forEach((stop, i) => gradient.addColorStop(i / (stops.length - 1), stop.trim()));
  context.fillStyle = gradient;
  context.fillRect(0, 0, count, 1);
  const bytes = context.getImageData(0, 0, count, 1).data;
  return Array.from({ length: count }, (_, i) => Array.from(bytes.subarray(4 * i, 4 * i + 4)));
}
