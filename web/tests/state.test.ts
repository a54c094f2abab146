import assert from "node:assert/strict";
import { test } from "node:test";
import { format, parse, START, type State } from "../src/state.ts";
import { clean, number, rfc3339, shorten } from "../src/text.ts";

test("the start has an empty address", () => {
  assert.equal(format(START), "#");
  assert.deepEqual(parse(""), START);
});

test("every state comes back from its address, whatever names are in it", () => {
  const state: State = {
    ...START,
    view: "both",
    open: "namespace:a&b=c#d",
    query: "\"'<é %20+",
    page: 7,
    theme: "dark",
  };
  assert.deepEqual(parse(format(state)), state);
});

test("an address that says nonsense is the start", () => {
  assert.deepEqual(parse("#view=cinema&page=-3&lines=some&theme=&what=1"), START);
});

test("long names keep both ends", () => {
  assert.equal(shorten("abcdefghij", 5), "ab…ij");
  assert.equal([...shorten("😀".repeat(9), 5)].length, 5);
  assert.equal(shorten("short", 5), "short");
});

test("numbers are grouped, and times are as in documents", () => {
  assert.equal(number(1234567), "1,234,567");
  assert.equal(rfc3339(0), null);
});

test("what does not print is escaped, and what does is not", () => {
  assert.equal(clean("a\u202Eb\nc\u00a0d e"), "a\\u202eb\\x0ac\\xa0d e");
  assert.equal(clean("שלום 😀"), "שלום 😀");
});
