// Part of a map with what calls it on the left and what it calls on the right: one namespace unfolded, or one workload.

import { bundle, groupItem, lineOf } from "./groups.ts";
import { KINDS } from "./layers.ts";
import { compare, contents, type Group, type Link, type Model, type Peer } from "./model.ts";
import {
  type Box,
  bent,
  type Frame,
  type Item,
  type Line,
  level,
  loop,
  MARGIN,
  type Measure,
  type Scene,
  type Size,
} from "./scene.ts";
import { number, plural, shorten } from "./text.ts";

const TITLE = 13;
const FACTS = 12;
const CHIP = 27;
const PITCH = 32;
const PAD = 14;
const HEAD = 30;
const BETWEEN = 90;
const MOST_INSIDE = 120;

function chip(peer: Peer, note = ""): Omit<Item, "x" | "y" | "w" | "h"> {
  const look = peer.type === "ambiguous" ? "workload" : peer.type;
  const name = [peer.label, peer.kind, note].filter(Boolean).join(", ");
  return {
    id: `p${peer.index}`,
    look,
    title: shorten(peer.title, 30),
    whole: peer.title,
    facts: note,
    name,
    peer: peer.index,
  };
}

function widest(items: readonly Pick<Item, "title" | "facts">[], measure: Measure): number {
  const one = (item: Pick<Item, "title" | "facts">): number =>
    measure(item.title, TITLE, true) + (item.facts ? measure(item.facts, FACTS) + 10 : 0) + 20;
  return Math.ceil(Math.max(84, ...items.map(one)));
}

/** Boxes of one size in columns from left to right, filled downwards. */
function grid(count: number, w: number, columns: number, x: number, y: number, gap: number): Box[] {
  const rows = Math.ceil(count / columns);
  return Array.from({ length: count }, (_, at) => ({
    x: x + Math.floor(at / rows) * (w + gap),
    y: y + (at % rows) * PITCH,
    w,
    h: CHIP,
  }));
}

function across(left: Box, right: Box): Line["points"] {
  return level([
    { x: left.x + left.w, y: left.y + left.h / 2 },
    { x: right.x - 2, y: right.y + right.h / 2 },
  ]);
}

/** One namespace with its workloads; other namespaces folded beside it. */
export function opened(model: Model, group: Group, measure: Measure, stage: Size, allLines: boolean): Scene {
  const known = (keys: ReadonlySet<string>): Group[] => [...model.groups.values()].filter((item) => keys.has(item.key));
  const side = (mark: string, found: readonly Group[]): Omit<Item, "x" | "y" | "w" | "h">[] =>
    found.map((item) => ({ ...groupItem(item), id: `${mark}${item.key}`, facts: number(contents(item).count) }));
  const callers = side("<", known(group.callers));
  const callees = side(">", known(group.callees));
  const chips = group.members.map((peer) => chip(peer, peer.type === "service" ? "service" : ""));

  const sideWidth = widest([...callers, ...callees], measure);
  const chipWidth = widest(chips, measure);
  // Few chips stand apart for the lines between them; of many, lines show only when pointed at.
  const gap = chips.length > 60 ? 10 : 26;
  // The widest arrangement that is as high as the window; sides take a second column only where they must.
  const rows = Math.max(4, Math.floor((stage.height - 2 * MARGIN - HEAD - PAD) / PITCH));
  const sideColumns = (count: number): number => Math.max(1, Math.ceil(count / rows));
  const [left, right] = [sideColumns(callers.length), sideColumns(callees.length)];
  const room = stage.width / 0.92 - 2 * MARGIN - (left + right) * (sideWidth + 16) - 2 * BETWEEN;
  const square = Math.ceil(Math.sqrt((chips.length * PITCH) / (chipWidth + gap)));
  const most = Math.max(1, Math.floor(room / (chipWidth + gap)));
  const columns = Math.min(
    chips.length,
    Math.max(Math.min(square, most), Math.min(most, Math.ceil(chips.length / rows))),
  );

  const insideRows = Math.ceil(chips.length / columns);
  const frameHeight = HEAD + insideRows * PITCH - (PITCH - CHIP) + PAD;
  const sideHeight = Math.max(Math.ceil(callers.length / left), Math.ceil(callees.length / right)) * PITCH;
  const height = Math.max(frameHeight, sideHeight);
  const middle = (count: number, wide: number): number => MARGIN + (height - Math.ceil(count / wide) * PITCH + 6) / 2;

  const frameX = MARGIN + (callers.length ? left * (sideWidth + 16) - 16 + BETWEEN : 0);
  const title = `${shorten(group.title, 30)} · ${plural(contents(group).count, contents(group).noun)}`;
  const frameWidth = Math.max(columns * (chipWidth + gap) - gap, measure(title, TITLE, true)) + 2 * PAD;
  const frameY = MARGIN + (height - frameHeight) / 2;
  const frame: Frame = { x: frameX, y: frameY, w: frameWidth, h: frameHeight, title, group: group.key };
  const rightX = frameX + frameWidth + BETWEEN;

  const place = (parts: readonly Omit<Item, "x" | "y" | "w" | "h">[], boxes: readonly Box[]): Item[] =>
    parts.flatMap((part, at) => (boxes[at] ? [{ ...part, ...boxes[at] }] : []));
  const items = [
    ...place(callers, grid(callers.length, sideWidth, left, MARGIN, middle(callers.length, left), 16)),
    ...place(chips, grid(chips.length, chipWidth, columns, frameX + PAD, frameY + HEAD, gap)),
    ...place(callees, grid(callees.length, sideWidth, right, rightX, middle(callees.length, right), 16)),
  ];
  const at = new Map(items.map((item) => [item.id, item]));

  const end = (link: Link, end: "from" | "to"): string => {
    const peer = link[end];
    if (peer.group === group.key) return `p${peer.index}`;
    const other = link[end === "from" ? "to" : "from"];
    return other.group === group.key ? `${end === "from" ? "<" : ">"}${peer.group}` : "";
  };
  const lines: Line[] = [];
  const inside = bundle(model.links, end);
  const within = inside.filter((item) => item.from.startsWith("p") && item.to.startsWith("p"));
  const quiet = !allLines && within.length > MOST_INSIDE;
  for (const item of inside) {
    const [from, to] = [at.get(item.from), at.get(item.to)];
    if (!from || !to) continue;
    const home = item.from.startsWith("p") && item.to.startsWith("p");
    const points = home ? bent(from, to) : across(from, to);
    lines.push(lineOf(item, points, home ? quiet : !allLines));
  }
  // Folded, the same neighbours are one line each to the frame.
  for (const item of bundle(model.links, (link, end) => {
    if (link.from.group === link.to.group) return "";
    const own = link[end].group === group.key;
    const other = link[end === "from" ? "to" : "from"].group === group.key;
    return own ? "frame" : other ? `${end === "from" ? "<" : ">"}${link[end].group}` : "";
  })) {
    const [from, to] = [
      item.from === "frame" ? frame : at.get(item.from),
      item.to === "frame" ? frame : at.get(item.to),
    ];
    if (!from || !to || allLines) continue;
    const ends = item.from === "frame" ? toFrame(to, frame, false) : toFrame(from, frame, true);
    lines.push({ ...lineOf(item, ends), id: `${item.from}>>${item.to}` });
  }
  const notes: string[] = [];
  if (quiet) notes.push(`${plural(within.length, "line")} inside show when you point at a workload.`);
  else if (!allLines && callers.length + callees.length) notes.push("Point at a workload to see its own lines.");
  return {
    kind: "open",
    width: (callees.length ? rightX + right * (sideWidth + 16) - 16 : frameX + frameWidth) + MARGIN,
    height: height + 2 * MARGIN,
    smallest: FACTS,
    items,
    frames: [frame],
    lines,
    notes,
    thinned: true,
  };
}

/** A level line between a tile beside a frame and the frame's border. */
function toFrame(tile: Box, frame: Box, left: boolean): Line["points"] {
  const y = tile.y + tile.h / 2;
  const inside = Math.min(frame.y + frame.h - 10, Math.max(frame.y + 10, y));
  return left
    ? level([
        { x: tile.x + tile.w, y },
        { x: frame.x - 2, y: inside },
      ])
    : level([
        { x: frame.x + frame.w, y: inside },
        { x: tile.x - 2, y },
      ]);
}

const MOST_CHIPS = 44;

/** How many chips each group may show so that a side stays readable; what is more is one chip that says how many. */
function allowance(groups: readonly Peer[][]): number {
  for (const most of [8, 5, 3, 1]) {
    if (groups.reduce((sum, members) => sum + Math.min(members.length, most + 1) + 1, 0) <= MOST_CHIPS) return most;
  }
  return 0;
}

interface Side {
  readonly items: Item[];
  readonly frames: Frame[];
  readonly height: number;
  readonly width: number;
  /** Which item a peer is drawn as. */
  readonly drawn: Map<number, string>;
}

function neighbours(
  model: Model,
  peers: readonly Peer[],
  mark: string,
  note: (peer: Peer) => string,
  unfolded: ReadonlySet<string>,
  measure: Measure,
  stage: Size,
): Side {
  const byGroup = new Map<string, Peer[]>();
  for (const peer of [...peers].sort((a, b) => compare(a.title, b.title))) {
    byGroup.set(peer.group, [...(byGroup.get(peer.group) ?? []), peer]);
  }
  const most = allowance([...byGroup.values()]);
  const drawn = new Map<number, string>();
  const blocks: { group: Group; parts: Omit<Item, "x" | "y" | "w" | "h">[]; bare: boolean }[] = [];
  for (const group of model.groups.values()) {
    const members = byGroup.get(group.key);
    if (!members) continue;
    // A group of which all but one would be shown is shown whole.
    const whole = unfolded.has(mark + group.key) || (most > 0 && members.length <= most + 1);
    const shown = whole ? members : members.slice(0, most);
    const bare = shown.length === 0 && most === 0;
    const parts: Omit<Item, "x" | "y" | "w" | "h">[] = shown.map((peer) => ({
      ...chip(peer, note(peer)),
      id: `${mark}p${peer.index}`,
    }));
    for (const peer of shown) drawn.set(peer.index, `${mark}p${peer.index}`);
    const rest = members.slice(shown.length);
    if (rest.length) {
      const id = `${mark}more ${group.key}`;
      const { noun } = contents(group);
      const count = plural(rest.length, noun);
      const title = bare ? shorten(group.title, 30) : `+ ${number(rest.length)} more`;
      const facts = bare ? number(rest.length) : "";
      const name = `${shown.length ? "further " : ""}${count} of ${group.title}: unfold`;
      parts.push({ id, look: "more", title, whole: title, facts, name, more: mark + group.key });
      for (const peer of rest) drawn.set(peer.index, id);
    }
    blocks.push({ group, parts, bare });
  }
  const titles = blocks.map(({ group }) => measure(shorten(group.title, 30), TITLE, true) + 2 * PAD);
  const w = Math.max(
    widest(
      blocks.flatMap((block) => block.parts),
      measure,
    ),
    ...titles.map((width) => width - 2 * PAD),
  );
  const items: Item[] = [];
  const frames: Frame[] = [];
  const heightOf = (block: (typeof blocks)[number]): number =>
    block.bare ? CHIP : HEAD + block.parts.length * PITCH - (PITCH - CHIP) + 10;
  const gapOf = (bare: boolean): number => (bare ? PITCH - CHIP : 12);
  const full = blocks.reduce((sum, block) => sum + heightOf(block) + gapOf(block.bare), 0);
  // At most three columns, of about the same height.
  const columns = Math.min(3, Math.ceil(full / (stage.height / 0.92 - 2 * MARGIN)));
  const limit = columns > 1 ? full / columns + CHIP : full;
  let [x, y, height] = [0, 0, 0];
  for (const block of blocks) {
    const { group, parts, bare } = block;
    const h = heightOf(block);
    if (y > 0 && y + h > limit) [x, y] = [x + w + 2 * PAD + 16, 0];
    if (!bare) frames.push({ x, y, w: w + 2 * PAD, h, title: shorten(group.title, 30), group: group.key });
    const top = bare ? 0 : HEAD;
    for (const [at, part] of parts.entries()) items.push({ ...part, x: x + PAD, y: y + top + at * PITCH, w, h: CHIP });
    y += h + gapOf(bare);
    height = Math.max(height, y);
  }
  return { items, frames, height, width: blocks.length ? x + w + 2 * PAD : 0, drawn };
}

/** One peer, who calls it, and whom it calls. */
export function focused(model: Model, peer: Peer, unfolded: ReadonlySet<string>, measure: Measure, stage: Size): Scene {
  const links = model.links.filter((link) => link.from === peer || link.to === peer);
  const ports = new Map<string, Set<number>>();
  for (const link of links) {
    const key = link.from === peer ? `>${link.to.index}` : `<${link.from.index}`;
    ports.set(key, new Set([...(ports.get(key) ?? []), ...link.pair.ports]));
  }
  const note =
    (mark: string) =>
    (other: Peer): string => {
      const all = [...(ports.get(mark + other.index) ?? [])].sort((a, b) => a - b);
      return all.length > 3 ? `${all.length} ports` : all.map((port) => `:${port}`).join(" ");
    };
  const unique = (list: readonly Peer[]): Peer[] => [...new Set(list)].filter((other) => other !== peer);
  const callers = unique(links.filter((link) => link.to === peer).map((link) => link.from));
  const callees = unique(links.filter((link) => link.from === peer).map((link) => link.to));
  const left = neighbours(model, callers, "<", note("<"), unfolded, measure, stage);
  const right = neighbours(model, callees, ">", note(">"), unfolded, measure, stage);

  const facts = KINDS[peer.type] ?? peer.kind;
  const own: Item = {
    ...chip(peer),
    facts: peer.namespace ? `${peer.namespace} · ${facts}` : facts,
    x: MARGIN + left.width + (left.width ? BETWEEN : 0),
    y: 0,
    w: Math.max(measure(peer.title, 15, true), measure(`${peer.namespace} · ${facts}`, FACTS)) + 32,
    h: 54,
  };
  const height = Math.max(left.height, right.height, own.h);
  const down = (side: Side): number => MARGIN + (height - side.height) / 2;
  const shift = <T extends Box>(box: T, x: number, y: number): T => ({ ...box, x: box.x + x, y: box.y + y });
  const rightX = own.x + own.w + BETWEEN;
  const middle = { ...own, y: MARGIN + (height - own.h) / 2 };
  const items = [
    ...left.items.map((item) => shift(item, MARGIN, down(left))),
    middle,
    ...right.items.map((item) => shift(item, rightX, down(right))),
  ];
  const at = new Map(items.map((item) => [item.id, item]));
  const end = (link: Link, side: "from" | "to"): string => {
    if (link[side] === peer) return own.id;
    return (side === "from" ? left : right).drawn.get(link[side].index) ?? "";
  };
  const lines = bundle(links, end).flatMap((item) => {
    const [from, to] = [at.get(item.from), at.get(item.to)];
    return from && to ? [lineOf(item, from === to ? loop(from) : across(from, to))] : [];
  });
  const folded = items.filter((item) => item.look === "more").length;
  return {
    kind: "focus",
    width: (right.width ? rightX + right.width : own.x + own.w) + MARGIN,
    height: height + 2 * MARGIN,
    smallest: FACTS,
    items,
    frames: [
      ...left.frames.map((frame) => shift(frame, MARGIN, down(left))),
      ...right.frames.map((frame) => shift(frame, rightX, down(right))),
    ],
    lines,
    notes: folded ? [`${plural(folded, "namespace")} folded to a number: click it to unfold.`] : [],
    thinned: false,
  };
}
