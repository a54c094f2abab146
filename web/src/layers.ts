// Everything at once, for small maps: callers left of whom they call, a lane for each namespace.
//
// Workloads stand in columns by how far they are from where calls begin. A lane is as wide as the columns of its members
// and shares its height only with lanes of other columns, so namespaces are frames that do not overlap. A line that
// passes a column goes through a free place between its boxes, never behind one.

import { compare, type Link, type Model, NODES, OUTSIDE, type Peer } from "./model.ts";
import { type Frame, type Item, type Line, level, MARGIN, type Measure, type Point, type Scene } from "./scene.ts";
import { shorten } from "./text.ts";

interface Cell {
  readonly peer: Peer;
  readonly lane: string;
  column: number;
  y: number;
}

interface Style {
  /** Whether what a box is stands below its name. */
  readonly facts: boolean;
  readonly gap: number;
}

const TITLE = 14;
const FACTS = 12;
const ROW_GAP = 18;
const PAD = 14;
const HEAD = 26;
const LANE_GAP = 20;
const CROSSING = 40;

export const KINDS: Record<string, string> = {
  external: "outside",
  node: "node",
  service: "service, workload unknown",
};

/** The links that close no circle, given that walks begin where nobody calls. */
function forward(cells: readonly Cell[], links: readonly Link[]): Link[] {
  const out = new Map<number, Link[]>();
  const called = new Set<number>();
  for (const link of links) {
    out.set(link.from.index, [...(out.get(link.from.index) ?? []), link]);
    called.add(link.to.index);
  }
  const kept: Link[] = [];
  const state = new Map<number, "open" | "done">();
  const walk = (at: number): void => {
    state.set(at, "open");
    for (const link of out.get(at) ?? []) {
      if (state.get(link.to.index) === "open") continue;
      kept.push(link);
      if (!state.has(link.to.index)) walk(link.to.index);
    }
    state.set(at, "done");
  };
  const order = cells.map((cell) => cell.peer.index);
  for (const at of [...order.filter((index) => !called.has(index)), ...order]) if (!state.has(at)) walk(at);
  return kept;
}

/** Columns: as far right as the longest way there; those whom nobody calls stand just left of whom they call. */
function setColumns(cells: Map<number, Cell>, links: readonly Link[]): void {
  const all = [...cells.values()];
  const kept = forward(all, links);
  for (let round = 0, moved = true; moved && round <= all.length; round += 1) {
    moved = false;
    for (const { from, to } of kept) {
      const a = cells.get(from.index);
      const b = cells.get(to.index);
      if (a && b && b.column <= a.column) {
        b.column = a.column + 1;
        moved = true;
      }
    }
  }
  const called = new Set(kept.map((link) => link.to.index));
  for (const cell of all) {
    if (called.has(cell.peer.index)) continue;
    const next = kept.flatMap((link) => (link.from === cell.peer ? (cells.get(link.to.index) ?? []) : []));
    // What only this one calls, and what calls nobody, comes along.
    const own = next.filter(
      (to) => !kept.some(({ from, to: end }) => from === to.peer || (end === to.peer && from !== cell.peer)),
    );
    const fixed = next.filter((to) => !own.includes(to));
    if (!fixed.length) continue;
    cell.column = Math.max(0, Math.min(...fixed.map((to) => to.column)) - 1);
    for (const to of own) to.column = cell.column + 1;
  }
}

/** Heights of the cells for an order of lanes and of cells in them; the height of all is given back. */
function stack(order: readonly Cell[], boxHeight: number, framed: ReadonlySet<string>): number {
  const lanes = new Map<string, Cell[]>();
  for (const cell of order) lanes.set(cell.lane, [...(lanes.get(cell.lane) ?? []), cell]);
  const skyline: number[] = [];
  let height = 0;
  for (const [lane, members] of lanes) {
    const columns = members.map((cell) => cell.column);
    const left = Math.min(...columns);
    const right = Math.max(...columns);
    const counts = new Map<number, number>();
    for (const column of columns) counts.set(column, (counts.get(column) ?? 0) + 1);
    const inner = Math.max(...counts.values()) * (boxHeight + ROW_GAP) - ROW_GAP;
    const [head, foot] = framed.has(lane) ? [HEAD + PAD / 2, PAD] : [0, 0];
    let top = 0;
    for (let column = left; column <= right; column += 1) top = Math.max(top, skyline[column] ?? 0);
    const used = new Map<number, number>();
    for (const cell of members) {
      const row = used.get(cell.column) ?? 0;
      used.set(cell.column, row + 1);
      const own = (counts.get(cell.column) ?? 1) * (boxHeight + ROW_GAP) - ROW_GAP;
      cell.y = top + head + (inner - own) / 2 + row * (boxHeight + ROW_GAP);
    }
    const bottom = top + head + inner + foot + LANE_GAP;
    for (let column = left; column <= right; column += 1) skyline[column] = bottom;
    height = Math.max(height, bottom - LANE_GAP);
  }
  return height;
}

/** How bad a placement is: lengths of lines up and down, and crossings between the same columns. */
function badness(cells: Map<number, Cell>, links: readonly Link[], height: number): number {
  const ends: [Cell, Cell][] = [];
  let sum = height;
  for (const link of links) {
    const a = cells.get(link.from.index);
    const b = cells.get(link.to.index);
    if (!a || !b) continue;
    sum += Math.abs(a.y - b.y);
    ends.push(a.column <= b.column ? [a, b] : [b, a]);
  }
  for (const [at, [a, b]] of ends.entries()) {
    for (let other = 0; other < at; other += 1) {
      const [c, d] = ends[other] ?? [a, b];
      if (a.column < d.column && c.column < b.column && (a.y - c.y) * (b.y - d.y) < 0) sum += CROSSING;
    }
  }
  return sum;
}

/** Begins with the order by name, and keeps each exchange of neighbours that makes the picture better. */
function arrange(
  cells: Map<number, Cell>,
  links: readonly Link[],
  boxHeight: number,
  framed: ReadonlySet<string>,
): number {
  let lanes = [...new Set([...cells.values()].map((cell) => cell.lane))];
  let members = [...cells.values()];
  const place = (laneOrder: readonly string[], cellOrder: readonly Cell[]): number => {
    const height = stack(
      laneOrder.flatMap((lane) => cellOrder.filter((cell) => cell.lane === lane)),
      boxHeight,
      framed,
    );
    return badness(cells, links, height);
  };
  const moved = <T>(list: readonly T[], from: number, to: number): T[] => {
    const copy = [...list];
    copy.splice(to, 0, ...copy.splice(from, 1));
    return copy;
  };
  let best = place(lanes, members);
  for (let round = 0, better = true; better && round < 12; round += 1) {
    better = false;
    for (let from = 0; from < lanes.length; from += 1) {
      for (let to = 0; to < lanes.length; to += 1) {
        const trial = moved(lanes, from, to);
        const now = place(trial, members);
        if (now < best - 0.5) [best, lanes, better] = [now, trial, true];
      }
    }
    for (let from = 0; from < members.length; from += 1) {
      for (let to = 0; to < members.length; to += 1) {
        const [a, b] = [members[from], members[to]];
        if (a === b || a?.lane !== b?.lane || a?.column !== b?.column) continue;
        const trial = moved(members, from, to);
        const now = place(lanes, trial);
        if (now < best - 0.5) [best, members, better] = [now, trial, true];
      }
    }
  }
  place(lanes, members);
  return Math.max(...[...cells.values()].map((cell) => cell.y + boxHeight));
}

/** Points at which lines leave or enter a side of a box, spread over it in the order of where they come from. */
class Doors {
  readonly #sides = new Map<string, { key: string; far: number }[]>();

  add(side: string, key: string, far: number): void {
    this.#sides.set(
      side,
      [...(this.#sides.get(side) ?? []), { key, far }].sort((a, b) => a.far - b.far),
    );
  }

  at(side: string, key: string, box: Item): number {
    const all = this.#sides.get(side) ?? [];
    const position = all.findIndex((door) => door.key === key);
    const step = Math.min(11, (box.h - 12) / Math.max(1, all.length - 1));
    return box.y + box.h / 2 + (position - (all.length - 1) / 2) * step;
  }
}

function nearestFree(y: number, taken: readonly [number, number][]): number {
  const clear = (at: number): boolean => taken.every(([top, bottom]) => at <= top || at >= bottom);
  if (clear(y)) return y;
  const edges = taken.flat().filter(clear);
  return edges.reduce((best, edge) => (Math.abs(edge - y) < Math.abs(best - y) ? edge : best), edges[0] ?? y);
}

function scene(model: Model, measure: Measure, style: Style): Scene {
  const drawn = model.peers.filter((peer) => peer.type !== "ambiguous");
  const cells = new Map<number, Cell>();
  for (const group of model.groups.values()) {
    for (const peer of group.members) {
      const alone = group.key === OUTSIDE || group.key === NODES;
      cells.set(peer.index, { peer, lane: alone ? peer.key : group.key, column: 0, y: 0 });
    }
  }
  // Where circles are cut must not depend on the order in which edges came.
  const links = [...model.links].sort((a, b) => compare(a.from.key, b.from.key) || compare(a.to.key, b.to.key));
  setColumns(
    cells,
    links.filter((link) => link.from !== link.to),
  );
  const facts = (peer: Peer): string => (style.facts ? (KINDS[peer.type] ?? peer.kind) : "");
  const boxHeight = style.facts ? 46 : 32;
  const framed = new Set([...model.groups.values()].filter((g) => g.kind === "namespace").map((g) => g.key));
  const height = arrange(cells, links, boxHeight, framed);

  const widths: number[] = [];
  const shown = new Map(drawn.map((peer) => [peer.index, shorten(peer.title, 30)]));
  for (const cell of cells.values()) {
    const text = Math.max(measure(shown.get(cell.peer.index) ?? "", TITLE, true), measure(facts(cell.peer), FACTS));
    widths[cell.column] = Math.max(widths[cell.column] ?? 96, text + 24);
  }
  const titles = new Map([...model.groups.values()].map((group) => [group.key, shorten(group.title, 30)]));
  for (const group of model.groups.values()) {
    if (!framed.has(group.key)) continue;
    const column = Math.min(...group.members.map((peer) => cells.get(peer.index)?.column ?? 0));
    widths[column] = Math.max(widths[column] ?? 96, measure(titles.get(group.key) ?? "", 13, true));
  }
  const lefts: number[] = [];
  let x = MARGIN + PAD;
  for (const [column, width] of widths.entries()) {
    lefts[column] = x;
    x += (width ?? 96) + style.gap;
  }
  const items = new Map<number, Item>();
  for (const cell of cells.values()) {
    const { peer } = cell;
    const w = widths[cell.column] ?? 96;
    const title = shown.get(peer.index) ?? "";
    const box = { x: lefts[cell.column] ?? 0, y: cell.y + MARGIN, w, h: boxHeight };
    const kind = facts(peer);
    const look = peer.type === "ambiguous" ? "workload" : peer.type;
    const name = `${peer.label}${peer.kind ? `, ${peer.kind}` : ""}`;
    items.set(peer.index, {
      id: `p${peer.index}`,
      look,
      title,
      whole: peer.title,
      facts: kind,
      name,
      peer: peer.index,
      ...box,
    });
  }

  const frames: Frame[] = [];
  for (const group of model.groups.values()) {
    if (!framed.has(group.key)) continue;
    const inside = group.members.flatMap((peer) => items.get(peer.index) ?? []);
    const left = Math.min(...inside.map((item) => item.x)) - PAD;
    const top = Math.min(...inside.map((item) => item.y)) - HEAD;
    const w = Math.max(...inside.map((item) => item.x + item.w)) + PAD - left;
    const h = Math.max(...inside.map((item) => item.y + item.h)) + PAD - top;
    frames.push({ x: left, y: top, w, h, title: titles.get(group.key) ?? "", group: group.key });
  }

  const lines = route(links, cells, items, lefts, widths);
  return {
    kind: "everything",
    width: Math.max(x - style.gap + PAD, ...frames.map((frame) => frame.x + frame.w)) + MARGIN,
    height: height + 2 * MARGIN + PAD,
    smallest: style.facts ? FACTS : 13,
    items: [...items.values()].sort((a, b) => a.x - b.x || a.y - b.y),
    frames,
    lines,
    notes: [],
    thinned: false,
  };
}

function route(
  links: readonly Link[],
  cells: Map<number, Cell>,
  items: Map<number, Item>,
  lefts: readonly number[],
  widths: readonly number[],
): Line[] {
  const doors = new Doors();
  const taken: [number, number][][] = widths.map(() => []);
  for (const cell of cells.values()) {
    const box = items.get(cell.peer.index);
    if (box) taken[cell.column]?.push([box.y - 8, box.y + box.h + 8]);
  }
  interface Way {
    link: Link;
    key: string;
    from: Item;
    to: Item;
    a: number;
    b: number;
  }
  const ways: Way[] = [];
  for (const [at, link] of links.entries()) {
    const from = items.get(link.from.index);
    const to = items.get(link.to.index);
    const a = cells.get(link.from.index)?.column ?? 0;
    const b = cells.get(link.to.index)?.column ?? 0;
    if (!from || !to) continue;
    const key = String(at);
    ways.push({ link, key, from, to, a, b });
    doors.add(`${from.id}${b >= a ? "right" : "left"}`, `${key}out`, to.y);
    doors.add(`${to.id}${b > a ? "left" : "right"}`, `${key}in`, from.y);
  }
  return ways.map(({ link, key, from, to, a, b }) => {
    const [out, into] = [b >= a ? "right" : "left", b > a ? "left" : "right"];
    const start = { x: out === "right" ? from.x + from.w : from.x, y: doors.at(from.id + out, `${key}out`, from) };
    const end = { x: into === "right" ? to.x + to.w + 2 : to.x - 2, y: doors.at(to.id + into, `${key}in`, to) };
    let points: Point[];
    if (a === b) {
      const bulge = Math.max(start.x, end.x) + 34;
      points = [start, { x: bulge, y: start.y }, { x: bulge, y: end.y }, end];
    } else {
      const step = b > a ? 1 : -1;
      const through: Point[] = [start];
      for (let column = a + step; column !== b; column += step) {
        const left = lefts[column] ?? 0;
        const right = left + (widths[column] ?? 0);
        const share = (left + right - 2 * start.x) / 2 / (end.x - start.x || 1);
        const y = nearestFree(start.y + (end.y - start.y) * share, taken[column] ?? []);
        // The next line keeps off this one.
        taken[column]?.push([y - 5, y + 5]);
        through.push({ x: step > 0 ? left : right, y }, { x: step > 0 ? right : left, y });
      }
      points = level([...through, end]);
    }
    return {
      id: `${from.id}>${to.id}>${link.pair.index}`,
      from: from.id,
      to: to.id,
      points,
      outcome: link.pair.outcome,
      uncertain: link.uncertain,
      pairs: [link.pair],
      quiet: false,
    };
  });
}

/** The whole map in one picture, with as much room and text as fits, least last. */
export function everything(model: Model, measure: Measure): Scene[] {
  const styles: Style[] = [
    { facts: true, gap: 84 },
    { facts: true, gap: 60 },
    { facts: false, gap: 60 },
    { facts: false, gap: 46 },
  ];
  return styles.map((style) => scene(model, measure, style));
}
