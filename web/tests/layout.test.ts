import assert from "node:assert/strict";
import { test } from "node:test";
import { groups, MOST_LINES } from "../src/groups.ts";
import { everything } from "../src/layers.ts";
import { focused, opened } from "../src/neighbours.ts";
import { type Box, fit, fits, LEAST_TEXT, type Scene } from "../src/scene.ts";
import { measure, modelOf, STAGE, wide } from "./maps.ts";

const SHOP = [
  "web/ingress>shop/frontend",
  "shop/frontend>shop/cart",
  "shop/frontend>shop/catalog",
  "shop/cart>data/redis",
  "shop/catalog>data/postgres",
  "shop/cart>shop/frontend",
  "shop/catalog>api.example.com",
  "node-1>shop/frontend",
  "shop/cart>shop/cart",
];

function overlap(a: Box, b: Box): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

function assertApart(scene: Scene): void {
  for (const [at, a] of scene.items.entries()) {
    assert.ok(a.x >= 0 && a.y >= 0 && a.x + a.w <= scene.width && a.y + a.h <= scene.height, `${a.title} lies outside`);
    for (const b of scene.items.slice(0, at)) assert.ok(!overlap(a, b), `${a.title} lies on ${b.title}`);
  }
}

function first<T>(list: readonly T[]): T {
  assert.ok(list[0] !== undefined);
  return list[0];
}

test("a small map is drawn whole: each peer a box, each pair a line", () => {
  const model = modelOf(SHOP);
  const scene = first(everything(model, measure));
  assert.equal(scene.items.length, model.peers.length);
  assert.equal(scene.lines.length, SHOP.length);
  assert.ok(scene.lines.every((line) => !line.quiet && line.points.length >= 4));
  assertApart(scene);
});

test("frames hold their namespaces and nothing else, and do not overlap", () => {
  const scene = first(everything(modelOf(SHOP), measure));
  const model = modelOf(SHOP);
  for (const frame of scene.frames) {
    const inside = scene.items
      .filter((item) => overlap(frame, item))
      .map((item) => model.peers[item.peer ?? -1]?.group);
    assert.deepEqual(new Set(inside), new Set([frame.group]));
    for (const other of scene.frames) assert.ok(other === frame || !overlap(frame, other));
  }
});

test("a namespace with a long name still has a frame of its own", () => {
  const long = "a-namespace-whose-name-is-as-long-as-names-get-here";
  const scene = first(everything(modelOf([`${long}/a>b/b`, "b/b>c/c"]), measure));
  for (const frame of scene.frames) {
    assert.ok(measure(frame.title, 13, true) <= frame.w);
    for (const other of scene.frames) assert.ok(other === frame || !overlap(frame, other));
  }
});

test("callers stand left of whom they call, but for circles", () => {
  const scene = first(everything(modelOf(SHOP), measure));
  const at = new Map(scene.items.map((item) => [item.whole, item.x]));
  const left = (a: string, b: string): boolean => (at.get(a) ?? 0) < (at.get(b) ?? 0);
  assert.ok(left("ingress", "frontend") && left("frontend", "cart") && left("cart", "redis"));
});

test("a long line passes no box", () => {
  const chain = ["s/a>s/b", "s/b>s/c", "s/c>s/d", "s/a>s/d", "s/a>s/c"];
  const scene = first(everything(modelOf(chain), measure));
  for (const line of scene.lines) {
    for (const item of scene.items) {
      if (item.id === line.from || item.id === line.to) continue;
      const hit = line.points.some((p) => overlap({ ...p, w: 0.1, h: 0.1 }, item));
      assert.ok(!hit, `a line of ${line.id} passes ${item.title}`);
    }
  }
});

test("the same map gives the same picture whatever the order of its edges", () => {
  const places = (lines: string[]): unknown =>
    first(everything(modelOf(lines), measure)).items.map((item) => [item.whole, item.x, item.y]);
  assert.deepEqual(places([...SHOP].reverse()), places(SHOP));
});

test("whatever the size, no text is smaller than can be read", () => {
  for (const count of [3, 40, 200]) {
    const scene = groups(modelOf(wide(count, 3)), measure, STAGE, false);
    assert.ok(fit(scene, STAGE) * scene.smallest >= LEAST_TEXT - 1e-9);
    assertApart(scene);
  }
});

test("fifty namespaces fit a window", () => {
  assert.ok(fits(groups(modelOf(wide(50, 3)), measure, STAGE, false), STAGE));
});

test("a namespace that nearly all call is a bar below the tiles", () => {
  const scene = groups(modelOf(wide(30)), measure, STAGE, false);
  const bars = scene.items.filter((item) => item.look === "hub");
  assert.deepEqual(
    bars.map((item) => item.title),
    ["team-000"],
  );
  assert.ok(scene.items.every((item) => item.look === "hub" || item.y < first(bars).y));
});

test("of many lines only the strong are drawn, and it is said how many", () => {
  const lines: string[] = [];
  for (let a = 0; a < 20; a += 1) for (let b = 1; b <= 7; b += 1) lines.push(`n${a}/x>n${(a + b) % 20}/y`);
  lines.push("n0/p>n1/y", "n0/q>n1/y");
  const thin = groups(modelOf(lines), measure, STAGE, false);
  assert.ok(thin.lines.length > MOST_LINES);
  assert.deepEqual(
    thin.lines.filter((line) => !line.quiet).map((line) => line.id),
    ["namespace:n0>namespace:n1"],
  );
  assert.match(first(thin.notes), /^1 of 140 lines drawn/);
  const all = groups(modelOf(lines), measure, STAGE, true);
  assert.equal(all.lines.filter((line) => !line.quiet).length, 140);
  assert.deepEqual(all.notes, []);
});

test("one more namespace moves no tile before it", () => {
  const places = (count: number): unknown[] =>
    groups(modelOf(wide(count)), measure, STAGE, false)
      .items.filter((item) => item.look === "group")
      .slice(0, 20)
      .map((item) => [item.title, item.x, item.y]);
  assert.deepEqual(places(44), places(45));
});

test("an open namespace shows each of its workloads by name, and its neighbours folded", () => {
  const model = modelOf(SHOP);
  const group = model.groups.get("namespace:shop");
  assert.ok(group);
  const scene = opened(model, group, measure, STAGE, false);
  assertApart(scene);
  const chips = scene.items.filter((item) => item.peer !== undefined).map((item) => item.title);
  assert.deepEqual(chips, ["cart", "catalog", "frontend"]);
  assert.deepEqual(
    scene.items.filter((item) => item.group).map((item) => item.id),
    ["<namespace:web", "<nodes", ">namespace:data", ">outside"],
  );
});

test("every pair of an open namespace is on a line", () => {
  const model = modelOf(SHOP);
  const group = model.groups.get("namespace:shop");
  assert.ok(group);
  for (const all of [true, false]) {
    const scene = opened(model, group, measure, STAGE, all);
    const drawn = new Set(scene.lines.flatMap((line) => line.pairs));
    assert.equal(drawn.size, model.pairs.length);
  }
});

test("a peer in focus has callers left, callees right, and every pair of it on a line", () => {
  const model = modelOf(SHOP);
  const peer = model.peers.find((item) => item.title === "cart");
  assert.ok(peer);
  const scene = focused(model, peer, new Set(), measure, STAGE);
  assertApart(scene);
  const own = scene.items.find((item) => item.peer === peer.index);
  assert.ok(own);
  for (const item of scene.items) if (item !== own) assert.equal(item.x < own.x, item.id.startsWith("<"));
  assert.equal(new Set(scene.lines.flatMap((line) => line.pairs)).size, model.pairsOf.get(peer.index)?.length);
});

test("a hub in focus folds its callers to numbers, and unfolds one namespace on demand", () => {
  const model = modelOf(wide(30, 20));
  const peer = model.peers.find((item) => item.label === "team-000/app-0");
  assert.ok(peer);
  const folded = focused(model, peer, new Set(), measure, STAGE);
  const more = folded.items.filter((item) => item.look === "more");
  assert.ok(more.length > 20 && folded.items.length < 60);
  assert.match(first(folded.notes), /folded/);
  const unfolded = focused(model, peer, new Set(["<namespace:team-005"]), measure, STAGE);
  assert.ok(unfolded.items.filter((item) => item.id.startsWith("<p")).length >= 20);
  assertApart(unfolded);
});
