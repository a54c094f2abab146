// A scene as SVG, and which parts of it stand out.
//
// Lines that show only when pointed at are made when they first do. What a line means is in its form (solid, dashed,
// dotted, "?"), and what is dimmed changes colour, not opacity, so that it can still be read.

import { s } from "./dom.ts";
import type { Model } from "./model.ts";
import type { Item, Line, Point, Scene } from "./scene.ts";
import type { Found } from "./search.ts";
import { plural } from "./text.ts";

/** What stands out: items and lines by id; null where nothing does. */
export interface Emphasis {
  readonly items: ReadonlySet<string>;
  readonly lines: ReadonlySet<string>;
}

function path(points: readonly Point[]): string {
  const at = (point: Point | undefined): string => (point ? `${point.x.toFixed(1)} ${point.y.toFixed(1)}` : "");
  let text = `M${at(points[0])}`;
  for (let i = 1; i + 2 < points.length; i += 3) text += `C${at(points[i])} ${at(points[i + 1])} ${at(points[i + 2])}`;
  return text;
}

/** An arrow head at the end of a line, along its last direction. */
function head(points: readonly Point[], size: number): string {
  const end = points.at(-1);
  const before = points.findLast((point) => end && Math.hypot(point.x - end.x, point.y - end.y) > 1);
  if (!end || !before) return "";
  const angle = Math.atan2(end.y - before.y, end.x - before.x);
  const corner = (turn: number): string =>
    `${(end.x - size * Math.cos(angle + turn)).toFixed(1)} ${(end.y - size * Math.sin(angle + turn)).toFixed(1)}`;
  return `M${corner(0.42)}L${end.x.toFixed(1)} ${end.y.toFixed(1)}L${corner(-0.42)}`;
}

function middle(points: readonly Point[]): Point {
  const piece = Math.floor((points.length - 1) / 6) * 3;
  const [a, b, c, d] = points.slice(piece, piece + 4);
  if (!a || !b || !c || !d) return { x: 0, y: 0 };
  const mix = (p: number, q: number, r: number, t: number): number => (p + 3 * q + 3 * r + t) / 8;
  return { x: mix(a.x, b.x, c.x, d.x), y: mix(a.y, b.y, c.y, d.y) };
}

export class Picture {
  readonly svg: SVGSVGElement;
  readonly scene: Scene;
  readonly #items = new Map<string, SVGGElement>();
  readonly #lines = new Map<string, SVGGElement>();
  readonly #lineLayer: SVGGElement;
  readonly #upperLayer: SVGGElement;

  constructor(scene: Scene, model: Model) {
    this.scene = scene;
    const frames = scene.frames.map((frame) => {
      const group = model.groups.get(frame.group);
      return s(
        "g",
        { class: `frame ${group?.kind ?? ""}` },
        s("rect", { x: frame.x, y: frame.y, width: frame.w, height: frame.h, rx: 10 }),
        s("text", { x: frame.x + 14, y: frame.y + 19, "data-open": frame.group }, frame.title),
      );
    });
    this.#lineLayer = s("g", { class: "lines" });
    this.#upperLayer = s("g", { class: "lines upper" });
    for (const line of scene.lines) if (!line.quiet) this.#lineLayer.append(this.#line(line));
    const items = scene.items.map((item) => this.#item(item));
    this.svg = s(
      "svg",
      {
        class: `picture ${scene.kind}`,
        viewBox: `0 0 ${scene.width} ${scene.height}`,
        role: "group",
        "aria-label": `Map, ${plural(scene.items.length, "item")}. Arrow keys move, Enter opens, Escape goes back.`,
      },
      s("g", {}, ...frames),
      this.#lineLayer,
      scene.kind !== "open" && this.#upperLayer,
      s("g", { class: "items" }, ...items),
      // Chips stand so close that lines between them would show nowhere below them.
      scene.kind === "open" && this.#upperLayer,
    );
  }

  element(id: string): SVGGElement | undefined {
    return this.#items.get(id);
  }

  /** Makes one item the one that Tab reaches. */
  rove(id: string): void {
    for (const [key, element] of this.#items) element.setAttribute("tabindex", key === id ? "0" : "-1");
  }

  #item(item: Item): SVGGElement {
    const bar = item.look === "hub";
    const tall = item.h > 40;
    const left = item.x + (item.look === "group" ? 11 : 10);
    const titleY = tall && item.facts ? item.y + item.h / 2 - 4 : item.y + item.h / 2 + 5;
    const factsY = tall ? item.y + item.h / 2 + 14 : titleY;
    const element = s(
      "g",
      {
        class: `item ${item.look}${tall ? " tall" : ""}`,
        id: item.id,
        role: "button",
        tabindex: -1,
        "aria-label": item.name,
      },
      s("title", {}, item.title === item.whole ? item.name : `${item.whole}\n${item.name}`),
      s("rect", { x: item.x, y: item.y, width: item.w, height: item.h, rx: 6 }),
      s("text", { class: "title", x: left, y: titleY }, item.title),
      item.facts &&
        s(
          "text",
          {
            class: "facts",
            x: tall && !bar ? left : item.x + item.w - 10,
            y: factsY,
            "text-anchor": tall && !bar ? "start" : "end",
          },
          item.facts,
        ),
    );
    this.#items.set(item.id, element);
    return element;
  }

  #line(line: Line): SVGGElement {
    const weight = Math.min(this.scene.kind === "focus" ? 2 : 4.5, 1.3 + Math.log2(line.pairs.length) * 0.45);
    const d = path(line.points);
    const at = middle(line.points);
    const [pair] = line.pairs;
    const words =
      line.pairs.length > 1 || !pair
        ? plural(line.pairs.length, "pair")
        : `${pair.client.label} → ${pair.server.label}`;
    const element = s(
      "g",
      { class: `line ${line.outcome}${line.uncertain ? " uncertain" : ""}`, "data-line": line.id },
      s("title", {}, words),
      s("path", { class: "target", d }),
      s("path", { class: "stroke", d, "stroke-width": weight.toFixed(2) }),
      s("path", { class: "head", d: head(line.points, 6 + weight) }),
      line.uncertain && s("text", { x: at.x, y: at.y + 5, "text-anchor": "middle" }, "?"),
    );
    this.#lines.set(line.id, element);
    return element;
  }

  /** The lines at an item, quiet ones included, and what is at their other ends. */
  around(ids: Iterable<string>): Emphasis {
    const wanted = new Set(ids);
    const items = new Set(wanted);
    const lines = new Set<string>();
    for (const line of this.scene.lines) {
      if (!wanted.has(line.from) && !wanted.has(line.to)) continue;
      lines.add(line.id);
      items.add(line.from).add(line.to);
    }
    return { items, lines };
  }

  /** Dims all but `emphasis`, and marks what was searched and what is selected. */
  mark(emphasis: Emphasis | null, selected: ReadonlySet<string>, hits: ReadonlySet<string> | null): void {
    for (const [id, element] of this.#items) {
      element.classList.toggle("dim", emphasis !== null && !emphasis.items.has(id));
      element.classList.toggle("selected", selected.has(id));
      element.classList.toggle("hit", hits?.has(id) ?? false);
      element.setAttribute("aria-pressed", String(selected.has(id)));
    }
    for (const line of this.scene.lines) {
      const lit = emphasis?.lines.has(line.id) ?? false;
      const element = this.#lines.get(line.id) ?? (lit ? this.#line(line) : null);
      if (!element) continue;
      element.classList.toggle("lit", lit);
      element.classList.toggle("selected", selected.has(line.id));
      element.classList.toggle("dim", emphasis !== null && !lit);
      if (line.quiet && !lit) element.remove();
      else {
        const layer = lit ? this.#upperLayer : this.#lineLayer;
        if (element.parentNode !== layer) layer.append(element);
      }
    }
  }

  /** What a search stands for in this picture: hits, and what their lines lead to. */
  found(found: Found, groupsWithHits: ReadonlySet<string>): { emphasis: Emphasis; hits: Set<string> } {
    const hits = new Set<string>();
    for (const item of this.scene.items) {
      const group = item.group ?? item.more?.slice(1);
      if (item.peer !== undefined ? found.peers.has(item.peer) : group !== undefined && groupsWithHits.has(group)) {
        hits.add(item.id);
      }
    }
    const items = new Set(hits);
    const lines = new Set<string>();
    for (const line of this.scene.lines) {
      if (!line.pairs.some((pair) => found.pairs.has(pair.index))) continue;
      if (!line.quiet) lines.add(line.id);
      items.add(line.from).add(line.to);
    }
    return { emphasis: { items, lines }, hits };
  }
}
