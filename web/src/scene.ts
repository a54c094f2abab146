// A picture before it is drawn: places of items and lines, in units of a CSS pixel at scale 1. Layouts make scenes from
// the model and touch no page, so they are tested without one.
//
// Everything is placed by name, so that one more workload moves little, and text is never made smaller than it can be
// read: a scene says its smallest text, and a scene that does not fit the window is larger than the window.

import type { Outcome, Pair } from "./model.ts";

/** Width of a text in pixels. */
export type Measure = (text: string, size: number, bold?: boolean) => number;

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

export type Look = "workload" | "service" | "external" | "node" | "group" | "hub" | "more";

export interface Item extends Box {
  readonly id: string;
  readonly look: Look;
  readonly title: string;
  /** The whole title, where `title` had to be shortened. */
  readonly whole: string;
  readonly facts: string;
  /** For those who hear the picture. */
  readonly name: string;
  /** The peer that it stands for. */
  readonly peer?: number;
  /** The group that it stands for. */
  readonly group?: string;
  /** The group of which it stands for those that are not drawn. */
  readonly more?: string;
}

/** A container: a namespace drawn with what is in it. */
export interface Frame extends Box {
  readonly title: string;
  readonly group: string;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Line {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  /** Cubic Béziers: a start, then two control points and an end for each piece. */
  readonly points: readonly Point[];
  readonly outcome: Outcome;
  readonly uncertain: boolean;
  readonly pairs: readonly Pair[];
  /** Drawn only while one of its ends is pointed at or selected. */
  readonly quiet: boolean;
}

export interface Scene extends Size {
  readonly kind: "everything" | "groups" | "open" | "focus";
  /** Smallest text, in pixels at scale 1. */
  readonly smallest: number;
  readonly items: readonly Item[];
  readonly frames: readonly Frame[];
  readonly lines: readonly Line[];
  /** What is not drawn, or not at once, in words. */
  readonly notes: readonly string[];
  /** Whether "all lines" would show more. */
  readonly thinned: boolean;
}

export const LEAST_TEXT = 11;
export const MARGIN = 24;

/** The scale at which a scene is first shown: all of it where that can be read, else the smallest that can. */
export function fit(scene: Scene, stage: Size): number {
  const whole = Math.min(stage.width / scene.width, stage.height / scene.height, 1.2);
  return Math.max(whole, LEAST_TEXT / scene.smallest);
}

export function fits(scene: Scene, stage: Size): boolean {
  const scale = LEAST_TEXT / scene.smallest;
  return scene.width * scale <= stage.width + 0.5 && scene.height * scale <= stage.height + 0.5;
}

export function centre(box: Box): Point {
  return { x: box.x + box.w / 2, y: box.y + box.h / 2 };
}

/** Where a ray from the middle of a box towards a point leaves it. */
function border(box: Box, towards: Point, gap: number): Point {
  const { x, y } = centre(box);
  const dx = towards.x - x;
  const dy = towards.y - y;
  const reach = Math.min(
    (box.w / 2 + gap) / Math.max(Math.abs(dx), 1e-9),
    (box.h / 2 + gap) / Math.max(Math.abs(dy), 1e-9),
  );
  return { x: x + dx * reach, y: y + dy * reach };
}

/** A line from a box to itself, over its upper right corner. */
export function loop(box: Box): Point[] {
  const [x, y] = [box.x + box.w, box.y];
  return [
    { x: x - 18, y },
    { x: x - 14, y: y - 24 },
    { x: x + 22, y: y - 14 },
    { x: x + 2, y: y + 12 },
  ];
}

/** A line between two boxes that bends a little to its left, so that the way back is another line. */
export function bent(from: Box, to: Box, bend = 14): Point[] {
  if (from === to) return loop(from);
  const a = centre(from);
  const b = centre(to);
  const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
  const off = Math.min(bend, length / 6);
  const middle = {
    x: (a.x + b.x) / 2 + ((b.y - a.y) / length) * off,
    y: (a.y + b.y) / 2 - ((b.x - a.x) / length) * off,
  };
  const start = border(from, middle, 0);
  const end = border(to, middle, 2);
  const third = (p: Point): Point => ({ x: p.x + ((middle.x - p.x) * 2) / 3, y: p.y + ((middle.y - p.y) * 2) / 3 });
  return [start, third(start), third(end), end];
}

/** A line that leaves and arrives level, through points at each of which it is level too. */
export function level(points: readonly Point[]): Point[] {
  const first = points[0];
  if (!first) return [];
  const all: Point[] = [first];
  for (const [at, b] of points.entries()) {
    const a = points[at - 1];
    if (!a) continue;
    const middle = (a.x + b.x) / 2;
    all.push({ x: middle, y: a.y }, { x: middle, y: b.y }, b);
  }
  return all;
}
