import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const BUILD = fileURLToPath(new URL("../build.mjs", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "alga-build-test-"));
after(() => rmSync(folder, { recursive: true }));

/** Build a source of that text; the exit status and what the build said. */
function built(text, ...options) {
  writeFileSync(join(folder, "index.ts"), text);
  const { status, stderr } = spawnSync(process.execPath, [BUILD, "index.ts", ...options], { cwd: folder, encoding: "utf8" });
  return { status, stderr };
}

test("a source without a handler is refused with the line that it needs", () => {
  const { status, stderr } = built("export const handle = () => 1;");
  assert.equal(status, 1);
  assert.match(stderr, /^alga-build: index\.ts exports no handler\. It needs:\n +export async function handler/);
  assert.ok(!existsSync(join(folder, "dist")));
});

test("a handler that is no function is refused, too", () => {
  const { status, stderr } = built("export const handler = 3;");
  assert.equal(status, 1);
  assert.match(stderr, /index\.ts exports no handler/);
});

test("a source that throws as it is loaded fails the build in its own lines", () => {
  const { status, stderr } = built("interface A { b: number }\nfunction top(a?: A) { return a!.b; }\ntop();\nexport const handler = () => 1;");
  assert.equal(status, 1);
  assert.match(stderr, /The source fails as it is loaded: cannot read property 'b' of undefined\n +at top \(index\.ts:2\)/);
});

test("faults of syntax and imports name file and line", () => {
  assert.match(built("export function handler( {").stderr, /index\.ts:1:\d+/);
  assert.match(built('import x from "nope";\nexport const handler = () => x;').stderr, /Could not resolve "nope"\n\n +index\.ts:1:/);
});

test("bad usage is exit status 2 with a pointer to the help", () => {
  for (const option of ["--wat", "--engine=v8", "another.ts"]) {
    const { status, stderr } = built("export const handler = () => 1;", option);
    assert.equal(status, 2, option);
    assert.match(stderr, /See alga-build --help\.\n$/);
  }
});
