import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, flag, list, oneOf, optional, printable, record, text, u32, whole } from "../dist/checks.js";

const refused = (check, value, message) => assert.throws(() => check(value, "it"), { name: "TypeError", message });

test("a text is Unicode", () => {
  assert.equal(text("", "it"), "");
  assert.equal(text("\ufeff\0𝄞", "it"), "\ufeff\0𝄞");
  refused(text, 5, "it must be text, not number");
  refused(text, undefined, "it must be text, not undefined");
  for (const odd of ["\ud800", "a\udc00", "\ud800\ud800\udc00", "\udc00\ud800"]) refused(text, odd, "it holds half of a surrogate pair");
});

test("a flag and bytes are just that", () => {
  refused(flag, "yes", "it must be true or false, not string");
  refused(flag, null, "it must be true or false, not null");
  refused(bytes, "text", "it must be a Uint8Array, not string");
  refused(bytes, [1, 2], "it must be a Uint8Array, not object");
});

test("a whole number is in its range", () => {
  assert.equal(whole(200, 599)(599, "it"), 599);
  for (const odd of [199, 600, 200.5, 65736, NaN, Infinity]) refused(whole(200, 599), odd, `it must be a whole number from 200 to 599, not ${odd}`);
  refused(whole(200, 599), "200", "it must be a number, not string");
  refused(u32, 2 ** 32, /4294967295/);
});

test("null is absent, and a case is known", () => {
  assert.equal(optional(text)(null, "it"), undefined);
  assert.equal(optional(text)(undefined, "it"), undefined);
  refused(optional(text), 5, "it must be text, not number");
  refused(oneOf("a", "b"), "c", "it must be a or b");
});

test("a record has its members and no others, and its faults name theirs", () => {
  const check = record({ name: text, items: list(record({ on: optional(flag) })) });
  assert.deepEqual(check({ name: "x", items: [{ on: true, more: 1 }], more: 1 }, "it"), { name: "x", items: [{ on: true }] });
  refused(check, { name: "x", items: [{}, { on: 1 }] }, "it.items[1].on must be true or false, not number");
  refused(check, { name: "x", items: {} }, "it.items must be an array, not object");
  refused(check, null, "it must be an object, not null");
});

test("a line of the log is any value, and its halves of surrogate pairs are replaced", () => {
  assert.equal(printable("a\ud800b𝄞\udc00"), "a\ufffdb𝄞\ufffd");
  assert.equal(printable(undefined), "undefined");
});
