import assert from "node:assert/strict";
import { test } from "node:test";
import { JobPromise, settle } from "../dist/runtime/promise.js";

test("a value and a promise of a value settle to it", () => {
  assert.equal(settle(1), 1);
  assert.equal(settle(JobPromise.resolve(JobPromise.resolve(2))), 2);
});

test("a rejection is thrown", () => {
  assert.throws(() => settle(JobPromise.reject(new RangeError("no"))), RangeError);
});

test("a promise that nothing settles is an error", () => {
  assert.throws(() => settle(new JobPromise(() => {})), /nothing settles/);
});

test("reactions run after the code that made them, in their order", () => {
  const order = [];
  const promise = JobPromise.resolve().then(() => order.push("first"));
  JobPromise.resolve().then(() => order.push("second"));
  order.push("code");
  settle(promise.then(() => order.push("third")));
  assert.deepEqual(order, ["code", "first", "second", "third"]);
});

test("jobs take the order of the language's own promises", async () => {
  const run = (Own) => {
    const order = [];
    const inner = new Own((resolve) => resolve(Own.resolve("x")));
    inner.then(() => order.push("inner"));
    const chain = Own.resolve().then(() => order.push("a")).then(() => order.push("b")).then(() => order.push("c"));
    return { order, done: Own.all([inner, chain]) };
  };
  const ours = run(JobPromise);
  settle(ours.done);
  const theirs = run(Promise);
  await theirs.done;
  assert.deepEqual(ours.order, theirs.order);
});

test("an executor that throws rejects, and only the first outcome counts", () => {
  assert.throws(() => settle(new JobPromise(() => { throw new TypeError("bad"); })), TypeError);
  assert.equal(settle(new JobPromise((resolve, reject) => { resolve(1); reject(2); resolve(3); })), 1);
});

test("a promise that resolves to itself is a TypeError", () => {
  let resolve;
  const promise = new JobPromise((given) => (resolve = given));
  resolve(promise);
  assert.throws(() => settle(promise), TypeError);
});

test("a thenable is followed, once, and its error rejects", () => {
  assert.equal(settle({ then: (resolve) => { resolve(5); resolve(6); throw new Error("late"); } }), 5);
  assert.throws(() => settle({ then: () => { throw new RangeError("no"); } }), RangeError);
  assert.throws(() => settle({ get then() { throw new RangeError("no"); } }), RangeError);
});

test("catch, finally and what they return", () => {
  assert.equal(settle(JobPromise.reject(1).catch((reason) => reason + 1)), 2);
  assert.equal(settle(JobPromise.resolve(3).finally(() => 4)), 3);
  assert.throws(() => settle(JobPromise.resolve(3).finally(() => { throw new RangeError("no"); })), RangeError);
});

test("all, allSettled, race and any", () => {
  const no = JobPromise.reject("no");
  assert.deepEqual(settle(JobPromise.all([1, JobPromise.resolve(2)])), [1, 2]);
  assert.deepEqual(settle(JobPromise.all([])), []);
  assert.deepEqual(settle(JobPromise.allSettled([1, no])), [
    { status: "fulfilled", value: 1 },
    { status: "rejected", reason: "no" },
  ]);
  assert.equal(settle(JobPromise.race([new JobPromise(() => {}), 7])), 7);
  assert.equal(settle(JobPromise.any([no, 8])), 8);
  assert.throws(() => settle(JobPromise.any([no])), AggregateError);
  assert.throws(() => settle(JobPromise.any([])), AggregateError);
});

test("a rejection that is handled later does not fail what comes first", () => {
  const rejected = JobPromise.reject(new Error("no"));
  assert.equal(settle(JobPromise.resolve(1)), 1);
  assert.equal(settle(rejected.catch(() => 2)), 2);
});
