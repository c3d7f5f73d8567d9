import assert from "node:assert/strict";
import { test } from "node:test";
import { describe, located } from "../dist/origins.js";

// Lines 3 to 5 of the bundle are 10 to 12 of a.ts, those from 6 on are b.ts.
const origins = { files: ["src/a.ts", "src/b.ts"], runs: [[3, 0, 10], [6, 1, 1]] };

test("a stack of either engine names files and lines of the sources", () => {
  assert.equal(located("    at inner (componentize-qjs:user.js:4:10)", origins), "    at inner (src/a.ts:11)");
  assert.equal(located("inner@extension.js:6:3\n@extension.js:5:1", origins), "inner@src/b.ts:1\n@src/a.ts:12");
});

test("a place before the first source, and one that is not in the bundle, stay", () => {
  const stack = "a@extension.js:2:3\nb@initializer.js:6:1\nc (native)";
  assert.equal(located(stack, origins), stack);
});

test("without origins a stack stays", () => {
  assert.equal(located("a@extension.js:4:3"), "a@extension.js:4:3");
});

test("an error is described with its name, its message and its stack, once", () => {
  const error = new RangeError("too far");
  assert.equal(describe(error).split("RangeError: too far").length, 2);
  error.stack = "inner@x.js:1:1\n";
  assert.equal(describe(error), "RangeError: too far\ninner@x.js:1:1");
});

test("causes follow, and one that causes itself ends", () => {
  const error = new Error("outer", { cause: new TypeError("inner") });
  error.cause.cause = error;
  error.stack = error.cause.stack = "";
  assert.equal(describe(error), "Error: outer\nCaused by: TypeError: inner");
});

test("any other value is described, too", () => {
  const circle = {};
  circle.circle = circle;
  assert.equal(describe("text"), "The handler threw text.");
  assert.equal(describe({ code: 7 }), 'The handler threw {"code":7}.');
  assert.equal(describe(undefined), "The handler threw undefined.");
  assert.match(describe(circle), /object/);
});
