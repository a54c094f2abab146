// Larger maps, folded: a tile for each namespace, in the order of their names.
//
// A grid of tiles fills the window with names that can be read, which no layered or force-directed picture of some
// hundred workloads does. What nearly everybody calls is a bar below: its lines would cover all others.

import { contents, type Group, type Link, type Model, type Pair, strongest } from "./model.ts";
import { type Box, bent, type Item, type Line, MARGIN, type Measure, type Scene, type Size } from "./scene.ts";
import { number, plural, shorten } from "./text.ts";

const TITLE = 14;
const FACTS = 12;
const HEIGHT = 50;
const BAR = 34;
export const MOST_LINES = 120;
export const FEW_PAIRS = 3;

export interface Bundle {
  readonly from: string;
  readonly to: string;
  readonly pairs: Pair[];
  readonly uncertain: boolean;
}

/**
 * Links with the same ends, where `end` says what a peer is drawn as (empty: not at all).
 *
 * What stays inside one item is no line, unless the item is the peer itself.
 */
export function bundle(links: readonly Link[], end: (link: Link, side: "from" | "to") => string): Bundle[] {
  const found = new Map<string, { from: string; to: string; pairs: Set<Pair>; uncertain: boolean }>();
  for (const link of links) {
    const from = end(link, "from");
    const to = end(link, "to");
    if (!from || !to || (from === to && link.from !== link.to)) continue;
    const key = `${from}>${to}`;
    const known = found.get(key) ?? { from, to, pairs: new Set(), uncertain: true };
    known.pairs.add(link.pair);
    known.uncertain &&= link.uncertain;
    found.set(key, known);
  }
  return [...found.values()].map((item) => ({ ...item, pairs: [...item.pairs] }));
}

export function lineOf(item: Bundle, points: Line["points"], quiet = false): Line {
  const outcome = strongest(item.pairs.map((pair) => pair.outcome));
  return { id: `${item.from}>${item.to}`, ...item, points, outcome, quiet };
}

/** Called by more than half of the namespaces, and by more than eight. */
export function isHub(group: Group, model: Model): boolean {
  const namespaces = [...model.groups.values()].filter((item) => item.kind === "namespace").length;
  const callers = [...group.callers].filter((key) => model.groups.get(key)?.kind === "namespace").length;
  return callers > 8 && callers > namespaces / 2;
}

export function groupName(group: Group): string {
  const { count, noun } = contents(group);
  const callers = plural(group.callers.size, "caller");
  return `${group.title}, ${plural(count, noun)}, ${callers}, ${plural(group.callees.size, "callee")}`;
}

export function groupItem(group: Group): Omit<Item, "x" | "y" | "w" | "h"> {
  const { count } = contents(group);
  const facts = `${number(count)} · ${number(group.callers.size)} in · ${number(group.callees.size)} out`;
  const title = shorten(group.title, 26);
  return { id: group.key, look: "group", title, whole: group.title, facts, name: groupName(group), group: group.key };
}

/** The part of a bar that lies nearest to another item; any other item itself. */
function beside(item: Item, other: Item): Box {
  if (item.look !== "hub") return item;
  const [left, right] = [item.x + 60, item.x + item.w - 60];
  return { ...item, x: Math.min(right, Math.max(left, other.x + other.w / 2)) - 20, w: 40 };
}

/** The number of columns that shows a grid largest. */
function columnsFor(count: number, w: number, h: number, stage: Size, below: number): number {
  let best = { columns: 1, scale: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const height = Math.ceil(count / columns) * h + below + 2 * MARGIN;
    const scale = Math.min(stage.width / (columns * w + 2 * MARGIN), stage.height / height, 1.25);
    if (scale > best.scale) best = { columns, scale };
  }
  return best.columns;
}

export function groups(model: Model, measure: Measure, stage: Size, allLines: boolean): Scene {
  const all = [...model.groups.values()];
  const hubs = all.filter((group) => isHub(group, model));
  const tiles = all.filter((group) => !hubs.includes(group));
  const parts = tiles.map(groupItem);
  const w = Math.max(
    110,
    ...parts.map((part) => Math.max(measure(part.title, TITLE, true), measure(part.facts, FACTS)) + 22),
  );
  const below = hubs.length * (BAR + 10) + (hubs.length ? 24 : 0);
  const gap = { x: 40, y: 32 };
  const columns = columnsFor(tiles.length, w + gap.x, HEIGHT + gap.y, stage, below);
  const rows = Math.ceil(tiles.length / columns);
  const width = Math.max(columns * (w + gap.x) - gap.x, hubs.length ? 420 : 0) + 2 * MARGIN;
  const items: Item[] = parts.map((part, at) => ({
    ...part,
    x: MARGIN + (at % columns) * (w + gap.x),
    y: MARGIN + Math.floor(at / columns) * (HEIGHT + gap.y),
    w,
    h: HEIGHT,
  }));
  const top = MARGIN + rows * (HEIGHT + gap.y) - gap.y + 32;
  for (const [at, hub] of hubs.entries()) {
    const box = { x: MARGIN, y: top + at * (BAR + 10), w: width - 2 * MARGIN, h: BAR };
    const { count, noun } = contents(hub);
    const facts = `called by ${number(hub.callers.size)} of ${number(all.length - 1)} · ${plural(count, noun)} · ${number(hub.callees.size)} out`;
    items.push({ ...groupItem(hub), look: "hub", facts, ...box });
  }

  const bars = new Set(hubs.map((hub) => hub.key));
  const bundles = bundle(model.links, (link, side) => (link.from === link.to ? "" : link[side].group));
  const thin = !allLines && bundles.length > MOST_LINES;
  const at = new Map(items.map((item) => [item.id, item]));
  const lines: Line[] = [];
  for (const item of bundles) {
    const from = at.get(item.from);
    const to = at.get(item.to);
    if (!from || !to) continue;
    const quiet = !allLines && (bars.has(item.to) || (thin && item.pairs.length < FEW_PAIRS));
    lines.push(lineOf(item, bent(beside(from, to), beside(to, from)), quiet));
  }
  const drawn = lines.filter((line) => !line.quiet).length;
  const notes: string[] = [];
  if (drawn < lines.length) {
    const why = [
      ...(thin ? [`those of fewer than ${FEW_PAIRS} pairs`] : []),
      ...(hubs.length ? [`those to ${plural(hubs.length, "bar")}`] : []),
    ];
    const count = `${number(drawn)} of ${number(lines.length)} lines drawn`;
    notes.push(`${count}; ${why.join(" and ")} when you point at an end.`);
  }
  return {
    kind: "groups",
    width,
    height: (hubs.length ? top + below - 24 : top - 32) + MARGIN,
    smallest: FACTS,
    items,
    frames: [],
    lines,
    notes,
    thinned: drawn < lines.length || allLines,
  };
}
