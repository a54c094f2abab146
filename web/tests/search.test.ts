import assert from "node:assert/strict";
import { test } from "node:test";
import { makeModel } from "../src/model.ts";
import { search } from "../src/search.ts";
import { mapOf, modelOf } from "./maps.ts";

const model = modelOf(["shop/frontend>shop/cart", "shop/cart>data/redis", "shop/cart>api.example.com"]);

test("an empty search is no search", () => {
  assert.equal(search(model, "  "), null);
});

test("a namespace finds its workloads and what they take part in", () => {
  const found = search(model, "data");
  assert.deepEqual([...(found?.groups ?? [])], ["namespace:data"]);
  assert.deepEqual(
    found?.best.map((peer) => peer.label),
    ["data/redis"],
  );
  assert.equal(found?.pairs.size, 1);
});

test("every word has to be found, in any order and case", () => {
  assert.equal(search(model, "REDIS cart")?.pairs.size, 1);
  assert.equal(search(model, "redis frontend")?.pairs.size, 0);
});

test("a number is a whole port", () => {
  const ports = makeModel(mapOf(["a/x>a/y"], { port: 8080, connections: 1 }));
  assert.equal(search(ports, "8080")?.pairs.size, 1);
  assert.equal(search(ports, ":8080")?.pairs.size, 1);
  assert.equal(search(ports, "80")?.pairs.size, 0);
  assert.equal(search(ports, ":80")?.pairs.size, 0);
});

test("an external name is found", () => {
  assert.deepEqual(
    search(model, "example.com")?.best.map((peer) => peer.type),
    ["external"],
  );
});

test("the name that is the word comes before those that contain it", () => {
  const names = modelOf(["a/api-gateway>a/api", "a/my-api>b/api"]);
  assert.deepEqual(
    search(names, "api")?.best.map((peer) => peer.label),
    ["a/api", "b/api", "a/api-gateway", "a/my-api"],
  );
});

test("a typed detail and the dialled service are found", () => {
  const map = mapOf(["a/x>a/y"], { service: 0, details: { "/orders/{id}": ["GET"] } });
  map.services.push({ name: "front-door", namespace: "a" });
  assert.equal(search(makeModel(map), "/orders")?.pairs.size, 1);
  assert.equal(search(makeModel(map), "front-door")?.pairs.size, 1);
});
