// Zoom and pan. While it moves, the picture is one layer that the compositor shifts and stretches, which stays smooth
// with thousands of elements; it is drawn sharp again when a zoom ends.

import { h } from "./dom.ts";
import { type Box, fit, type Scene } from "./scene.ts";

const SETTLE_MS = 140;
const MOST = 4;
const DRAG = 4;

export class Viewport {
  readonly stage: HTMLElement;
  #svg: SVGSVGElement | null = null;
  #scene: Scene | null = null;
  #scale = 1;
  #drawn = 1;
  #x = 0;
  #y = 0;
  #least = 0.2;
  #timer = 0;
  #pointers = new Map<number, { x: number; y: number }>();
  /** Whether the last press became a drag, and its click is none. */
  dragged = false;

  constructor() {
    this.stage = h("div", { class: "stage" });
    this.stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.stage.addEventListener("pointerdown", (event) => this.#down(event));
    this.stage.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"] as const) {
      this.stage.addEventListener(name, (event) => this.#pointers.delete(event.pointerId));
    }
  }

  get size(): { width: number; height: number } {
    return { width: this.stage.clientWidth, height: this.stage.clientHeight };
  }

  /** `covered` is what lies over the right side. */
  show(svg: SVGSVGElement, scene: Scene, covered: number): void {
    this.#svg?.remove();
    [this.#svg, this.#scene] = [svg, scene];
    this.stage.prepend(svg);
    this.fit(covered);
  }

  fit(covered = 0): void {
    if (!this.#scene) return;
    const { height } = this.size;
    const width = this.size.width - covered;
    this.#scale = fit(this.#scene, { width, height });
    this.#least = Math.min(this.#scale, width / this.#scene.width, height / this.#scene.height) * 0.8;
    this.#x = Math.max(0, (width - this.#scene.width * this.#scale) / 2);
    this.#y = Math.max(0, (height - this.#scene.height * this.#scale) / 2);
    this.#redraw();
  }

  /** Whether part of the picture lies outside the window. */
  cut(covered: number): boolean {
    const { width, height } = this.size;
    if (!this.#scene) return false;
    return this.#scene.width * this.#scale > width - covered + 1 || this.#scene.height * this.#scale > height + 1;
  }

  zoom(factor: number, x = this.size.width / 2, y = this.size.height / 2): void {
    const next = Math.min(MOST, Math.max(this.#least, this.#scale * factor));
    this.#x = x - ((x - this.#x) * next) / this.#scale;
    this.#y = y - ((y - this.#y) * next) / this.#scale;
    this.#scale = next;
    this.#place();
    window.clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#redraw(), SETTLE_MS);
  }

  pan(dx: number, dy: number): void {
    this.#x += dx;
    this.#y += dy;
    this.#place();
  }

  /** Moves no more than it must to show a box, and keeps off what lies over the right side. */
  reveal(box: Box, covered = 0): void {
    const { width, height } = this.size;
    const [left, top] = [this.#x + box.x * this.#scale, this.#y + box.y * this.#scale];
    const [w, h] = [box.w * this.#scale, box.h * this.#scale];
    const shift = (start: number, length: number, room: number): number =>
      start < 8 ? 8 - start : start + length > room - 8 ? Math.max(8 - start, room - 8 - start - length) : 0;
    const [dx, dy] = [shift(left, w, width - covered), shift(top, h, height)];
    if (dx || dy) this.pan(dx, dy);
  }

  #place(): void {
    if (!this.#scene || !this.#svg) return;
    const { width, height } = this.size;
    // Some of the picture always stays in the window.
    const keep = 60;
    this.#x = Math.min(width - keep, Math.max(keep - this.#scene.width * this.#scale, this.#x));
    this.#y = Math.min(height - keep, Math.max(keep - this.#scene.height * this.#scale, this.#y));
    const stretch = this.#scale / this.#drawn;
    const shift = `translate(${Math.round(this.#x)}px, ${Math.round(this.#y)}px)`;
    this.#svg.style.transform = stretch === 1 ? shift : `${shift} scale(${stretch})`;
  }

  #redraw(): void {
    if (!this.#scene || !this.#svg) return;
    this.#drawn = this.#scale;
    this.#svg.setAttribute("width", String(this.#scene.width * this.#scale));
    this.#svg.setAttribute("height", String(this.#scene.height * this.#scale));
    this.#place();
  }

  #wheel(event: WheelEvent): void {
    event.preventDefault();
    const box = this.stage.getBoundingClientRect();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : 1;
    const step = Math.max(-200, Math.min(200, event.deltaY * lines));
    this.zoom(Math.exp(-step / 400), event.clientX - box.left, event.clientY - box.top);
  }

  #down(event: PointerEvent): void {
    if (event.button > 0) return;
    this.dragged = false;
    this.#pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  }

  #move(event: PointerEvent): void {
    const last = this.#pointers.get(event.pointerId);
    if (!last) return;
    if (event.pointerType === "mouse" && !event.buttons) {
      this.#pointers.delete(event.pointerId);
      return;
    }
    const [dx, dy] = [event.clientX - last.x, event.clientY - last.y];
    if (!this.dragged && Math.hypot(dx, dy) < DRAG) return;
    if (!this.dragged) this.stage.setPointerCapture(event.pointerId);
    this.dragged = true;
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.#pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (!other) {
      this.pan(dx, dy);
      return;
    }
    const before = Math.hypot(last.x - other.x, last.y - other.y) || 1;
    const now = Math.hypot(event.clientX - other.x, event.clientY - other.y);
    const box = this.stage.getBoundingClientRect();
    this.zoom(now / before, (event.clientX + other.x) / 2 - box.left, (event.clientY + other.y) / 2 - box.top);
  }
}
