/* Curves over the steps of a run. */

const MARGIN = { left: 40, right: 8, top: 6, bottom: 20 };

class Curves {
  /* column: which number of each point; top: the largest number on the axis, if it is known. */
  constructor(canvas, { column, top, format }) {
    Object.assign(this, { canvas, column, top, format });
    this.data = { training: [], validation: [] };
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  show(data) {
    this.data = data;
    this.draw();
  }

  draw() {
    const width = this.canvas.parentElement.clientWidth;
    const height = 150;
    if (width < 100) return;
    const context = sized(this.canvas, width, height);
    const series = ["training", "validation"].map((name) => this.series(name));
    const steps = Math.max(10, ...series.map((points) => points.at(-1)?.[0] ?? 0));
    const top = this.top ?? (highest(series.flat().map((p) => p[1])) || 1);
    const place = {
      x: (step) => MARGIN.left + (step / steps) * (width - MARGIN.left - MARGIN.right),
      y: (v) => height - MARGIN.bottom - (v / top) * (height - MARGIN.top - MARGIN.bottom),
    };
    const style = getComputedStyle(this.canvas);
    this.axes(context, style, place, steps, top, width);
    context.save();
    context.beginPath();
    context.rect(MARGIN.left, 0, width - MARGIN.left, height - MARGIN.bottom + 1);
    context.clip();
    const [training, validation] = series;
    stroke(context, training, place, style.getPropertyValue("--accent"), 1, 0.3);
    stroke(context, smooth(training), place, style.getPropertyValue("--accent"), 2, 1);
    stroke(context, validation, place, style.getPropertyValue("--positive"), 2, 1);
    context.restore();
  }

  series(name) {
    const points = this.data[name].map((point) => [point[0], point[this.column]]);
    return points.filter((point) => point[1] !== null);
  }

  axes(context, style, place, steps, top, width) {
    context.font = `11px ${style.fontFamily}`;
    context.fillStyle = style.getPropertyValue("--muted");
    context.strokeStyle = style.getPropertyValue("--line");
    context.lineWidth = 1;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const value of ticks(top, 4)) {
      const y = Math.round(place.y(value)) + 0.5;
      context.beginPath();
      context.moveTo(MARGIN.left, y);
      context.lineTo(width - MARGIN.right, y);
      context.stroke();
      context.fillText(this.format(value), MARGIN.left - 5, y);
    }
    context.textBaseline = "top";
    for (const value of ticks(steps, 5).slice(1)) {
      context.textAlign = place.x(value) > width - 30 ? "right" : "center";
      context.fillText(formatNumber(value), place.x(value), place.y(0) + 5);
    }
  }
}

/* Round numbers from 0 up to a limit, about so many. */
function ticks(limit, count) {
  const raw = limit / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
  return Array.from({ length: Math.floor(limit / step + 1e-9) + 1 }, (_, i) => i * step);
}

/* The largest number of nearly all: a few wild ones shall not press the rest to the ground. */
function highest(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return 1.08 * (sorted[Math.floor(0.98 * (sorted.length - 1))] ?? 0);
}

/* The means over the neighbours of each point, so that nothing lags behind. */
function smooth(points) {
  const reach = Math.ceil(points.length / 40);
  return points.map(([step], i) => {
    const near = Math.min(reach, i, points.length - 1 - i);
    const around = points.slice(i - near, i + near + 1);
    return [step, around.reduce((sum, point) => sum + point[1], 0) / around.length];
  });
}

function stroke(context, points, place, colour, width, alpha) {
  context.strokeStyle = colour;
  context.globalAlpha = alpha;
  context.lineWidth = width;
  context.lineJoin = "round";
  context.beginPath();
  for (const [step, value] of points) context.lineTo(place.x(step), place.y(value));
  context.stroke();
  if (points.length === 1) {
    context.fillStyle = colour;
    context.fillRect(place.x(points[0][0]) - 2, place.y(points[0][1]) - 2, 4, 4);
  }
  context.globalAlpha = 1;
}
