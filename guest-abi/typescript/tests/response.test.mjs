import assert from "node:assert/strict";
import { test } from "node:test";
import { headerOf, jsonOf, triggerOf } from "../dist/response.js";

const requested = (headers, body) => ({
  context: {},
  http: { method: "POST", url: "/sync", headers: Object.entries(headers).map(([name, value]) => ({ name, value })), body },
});

test("a caller's request has no trigger", () => {
  assert.equal(triggerOf(requested({ "content-type": "application/json" })), undefined);
});

test("a schedule's request says which, when and which attempt", () => {
  const headers = {
    "x-alga-trigger": "schedule",
    "X-Alga-Schedule-Id": "s1",
    "x-alga-nominal-time": "2026-01-01T02:30:00.000+01:00",
    "x-alga-attempt": "2",
  };
  assert.deepEqual(triggerOf(requested(headers)), {
    kind: "schedule",
    scheduleId: "s1",
    nominalTime: "2026-01-01T02:30:00.000+01:00",
    attempt: 2,
  });
});

test("what a trigger does not say is left out", () => {
  assert.deepEqual(triggerOf(requested({ "x-alga-trigger": "schedule", "x-alga-attempt": "many" })), { kind: "schedule" });
});

test("the first header of a name counts, in any case", () => {
  const request = requested({});
  request.http.headers.push({ name: "X-A", value: "1" }, { name: "x-a", value: "2" });
  assert.equal(headerOf(request, "x-A"), "1");
});

test("a body that is not JSON throws, and none is undefined", () => {
  assert.throws(() => jsonOf(requested({}, new TextEncoder().encode("{"))), SyntaxError);
  assert.equal(jsonOf(requested({})), undefined);
});
