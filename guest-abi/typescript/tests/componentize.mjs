// Puts a script as it is into an engine: node componentize.mjs ENGINE WIT WORLD SCRIPT OUT

import { readFileSync, writeFileSync } from "node:fs";

const [engine, witPath, world, script, out] = process.argv.slice(2);
const source = readFileSync(script, "utf8");
if (engine === "quickjs") {
  const { componentize } = await import("componentize-qjs");
  writeFileSync(out, (await componentize({ witPath, world, jsSource: source, sync: true })).component);
} else {
  const { componentize } = await import("@bytecodealliance/componentize-js");
  const disableFeatures = ["random", "stdio", "clocks", "http", "fetch-event"];
  writeFileSync(out, (await componentize(source, { witPath, worldName: world, disableFeatures })).component);
}
