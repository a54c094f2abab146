import assert from "node:assert/strict";
import { test } from "node:test";
import { makeModel } from "../src/model.ts";
import { pairJson } from "../src/words.ts";
import { mapOf, modelOf } from "./maps.ts";

test("edges with the same ends are one pair with the sums of their counters", () => {
  const map = mapOf(["a/x>b/y"], { connections: 2, port: 80, first_seen: 5, last_seen: 9 });
  map.edges.push({ client: 0, server: 1, protocol: "dns", lookups: 3, first_seen: 4, last_seen: 6 });
  const [pair, ...others] = makeModel(map).pairs;
  assert.equal(others.length, 0);
  assert.deepEqual([pair?.sums.connections, pair?.sums.lookups, pair?.first, pair?.last], [2, 3, 4, 9]);
  assert.equal(pair?.outcome, "observed");
});

test("a pair that nobody answered is attempted, and one of lookups is known from DNS", () => {
  assert.equal(modelOf(["a/x>a/y"], { attempts: 1 }).pairs[0]?.outcome, "attempted");
  assert.equal(modelOf(["a/x>a/y"], { lookups: 1 }).pairs[0]?.outcome, "lookup");
  assert.equal(modelOf(["a/x>a/y"], {}).pairs[0]?.outcome, "observed");
});

test("an ambiguous peer is a line to each candidate and in no group", () => {
  const map = mapOf(["a/x>b/y", "a/x>c/z"]);
  map.peers.push({ type: "ambiguous", candidates: [1, 2] });
  map.edges = [{ client: 0, server: 3, protocol: "tcp", connections: 1 }];
  const model = makeModel(map);
  assert.deepEqual(
    model.links.map((link) => [link.to.label, link.uncertain]),
    [
      ["b/y", true],
      ["c/z", true],
    ],
  );
  assert.equal(model.peers[3]?.label, "b/y | c/z (ambiguous)");
  assert.deepEqual([...(model.groups.get("namespace:a")?.callees ?? [])], ["namespace:b", "namespace:c"]);
});

test("workloads of one name and different kinds are told apart", () => {
  const map = mapOf(["a/x>a/y"]);
  map.peers.push({ type: "workload", name: "x", namespace: "a", kind: "CronJob" });
  const titles = makeModel(map).peers.map((peer) => peer.title);
  assert.deepEqual(titles, ["x (Deployment)", "y", "x (CronJob)"]);
});

test("namespaces come by name, then nodes, then the outside", () => {
  const model = modelOf(["b/x>a/y", "node-1>a/y", "a/y>example.com"]);
  assert.deepEqual([...model.groups.keys()], ["namespace:a", "namespace:b", "nodes", "outside"]);
});

test("a namespace called outside is not the outside", () => {
  const model = modelOf(["outside/x>nodes/y", "outside/x>example.com"]);
  assert.deepEqual([...model.groups.keys()], ["namespace:nodes", "namespace:outside", "outside"]);
});

test("names that would turn the line around are escaped", () => {
  const [peer] = modelOf(["a/evil\u202Etxt>a/y"]).peers;
  assert.equal(peer?.label, "a/evil\\u202etxt");
});

test("a pair is copied with its peers whole", () => {
  const model = modelOf(["a/x>example.com"], { connections: 2, port: 443, last_seen: 1_800_000_000_000 });
  const [pair] = model.pairs;
  assert.ok(pair);
  const copied = JSON.parse(pairJson(model, pair));
  assert.deepEqual(copied.client, { type: "workload", name: "x", namespace: "a", kind: "Deployment" });
  assert.equal(copied.last_seen, "2027-01-15T08:00:00.000Z");
  assert.equal(copied.ports[0].port, 443);
});
