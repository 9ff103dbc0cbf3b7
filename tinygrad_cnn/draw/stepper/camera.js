/* Which part of the graph is seen, and how large: dragging, the wheel, and what the steps ask for. */

const MARGIN = 16;
const LEGEND = 32; // pixels at the bottom that the legend covers
const SCALES = { least: 0.1, legible: 0.6, whole: 0.75, most: 2.5, start: 1.25 };
const stillness = matchMedia("(prefers-reduced-motion: reduce)");

class Camera {
  constructor(frame, scene) {
    Object.assign(this, { frame, scene, x: 0, y: 0, scale: 1 });
    this.listen();
  }

  move(smoothly = false) {
    const { x, y, scale } = this;
    this.scene.classList.toggle("smooth", smoothly && !stillness.matches);
    this.scene.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px) scale(${scale})`;
  }

  pan(across, down, smoothly = false) {
    this.x += across;
    this.y += down;
    this.move(smoothly);
  }

  /* Width and height of what can be seen. */
  get room() {
    return [this.frame.clientWidth, this.frame.clientHeight - LEGEND];
  }

  /* All of the scene where that is legible, else its width. */
  fit({ width, height }) {
    const [roomAcross, roomDown] = this.room;
    const across = (roomAcross - 2 * MARGIN) / width;
    const whole = Math.min(across, (roomDown - 2 * MARGIN) / height);
    const tall = Math.min(1, Math.max(across, SCALES.legible));
    this.scale = whole > SCALES.whole ? Math.min(whole, SCALES.start) : tall;
    this.x = (roomAcross - width * this.scale) / 2;
    this.y = Math.max(MARGIN, (roomDown - height * this.scale) / 2);
    this.move();
  }

  /* Pan as little as brings a rectangle of the scene into view. */
  reveal({ left, top, width, height }) {
    const [roomAcross, roomDown] = this.room;
    const shift = (start, length, room) => {
      const margin = Math.min(70, Math.max(8, (room - length) / 2));
      if (start < margin) return margin - start;
      return Math.min(0, Math.max(room - margin - length, margin) - start);
    };
    const { scale } = this;
    this.pan(
      shift(left * scale + this.x, width * scale, roomAcross),
      shift(top * scale + this.y, height * scale, roomDown),
      true,
    );
  }

  /* Enlarge or shrink; what is at a point of the frame, by default its centre, stays there. */
  zoomBy(factor, at = { x: this.frame.clientWidth / 2, y: this.frame.clientHeight / 2 }) {
    const scale = Math.min(SCALES.most, Math.max(SCALES.least, this.scale * factor));
    this.x = at.x - ((at.x - this.x) * scale) / this.scale;
    this.y = at.y - ((at.y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.move();
  }

  listen() {
    this.frame.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    let held = null;
    this.frame.addEventListener("pointerdown", (event) => {
      if (event.button === 0 && !event.target.closest(".box, button")) held = event;
    });
    addEventListener("pointermove", (event) => {
      if (!held) return;
      this.frame.classList.add("held");
      this.pan(event.clientX - held.clientX, event.clientY - held.clientY);
      held = event;
    });
    addEventListener("pointerup", () => {
      held = null;
      this.frame.classList.remove("held");
    });
  }

  wheel(event) {
    event.preventDefault();
    const { left, top } = this.frame.getBoundingClientRect();
    const speed = event.deltaMode ? 0.05 : 0.0015; // lines or pixels
    const at = { x: event.clientX - left, y: event.clientY - top };
    this.zoomBy(Math.exp(-event.deltaY * speed), at);
  }
}
