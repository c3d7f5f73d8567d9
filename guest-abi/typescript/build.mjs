#!/usr/bin/env node
// Builds an extension's component: bundles its TypeScript or JavaScript and puts it into a JavaScript engine.

import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const HELP = `Build an Alga extension as a WebAssembly component.

Usage: alga-build SOURCE [--out FILE] [--engine NAME]

SOURCE is the module that exports the handler:
    export async function handler(request, host) { ... }

  --out FILE      Where the component goes.  [default: dist/main.wasm]
  --engine NAME   quickjs: 1.9 MB, starts fast.  [default]
                  spidermonkey: 12 MB, has URL and more of the web's library; takes half a minute to build.
  --help          Show this message.

Exit status: 0 built, 1 failed, 2 bad usage.
`;

const NO_HANDLER = `exports no handler. It needs:
    export async function handler(request, host) { ... }`;

const HERE = dirname(fileURLToPath(import.meta.url));
const OWN_WIT = join(HERE, "wit");
const SHARED_WIT = join(HERE, "..", "wit");

/** The folder with the world and what it uses. In a package its copy lies beside the build's own. */
function gatherWit(folder) {
  const world = existsSync(join(OWN_WIT, "alga")) ? join(OWN_WIT, "alga") : SHARED_WIT;
  cpSync(join(OWN_WIT, "build.wit"), join(folder, "build.wit"));
  cpSync(world, join(folder, "deps", "alga"), { recursive: true });
  cpSync(join(OWN_WIT, "random"), join(folder, "deps", "random"), { recursive: true });
  return folder;
}

function entry(source, engine) {
  const imported = JSON.stringify(resolve(source));
  const serve = JSON.stringify(join(HERE, "dist", "serve.js"));
  const runtime = JSON.stringify(join(HERE, "dist", "runtime", "quickjs.js"));
  const check = `if (typeof author !== "function") throw new TypeError(${JSON.stringify(`${source} ${NO_HANDLER}`)});`;
  if (engine === "spidermonkey") {
    return `import { serve } from ${serve};
import { handler as author } from ${imported};
${check}
export const handler = (request) => serve(author, request);`;
  }
  return `import { settle } from ${runtime};
import { failed, serve } from ${serve};
import { handler as author } from ${imported};
${check}
export function handler(request) {
  try {
    return settle(serve(author, request));
  } catch (error) {
    return failed(error);
  }
}`;
}

async function bundle(source, engine) {
  const { build, formatMessages } = await import("esbuild");
  const made = await build({
    stdin: { contents: entry(source, engine), resolveDir: process.cwd(), sourcefile: "entry.js" },
    bundle: true,
    write: false,
    outfile: "extension.js",
    sourcemap: "external",
    format: "esm",
    external: ["alga:*", "wasi:*"],
    // QuickJS returns before it runs the jobs of a promise: async becomes generators over a promise of our own.
    target: engine === "quickjs" ? "es2016" : "es2022",
    supported: engine === "quickjs" ? { "async-await": false, "async-generator": false, "for-await": false } : {},
    alias: { "alga-extension": join(HERE, "dist", "index.js") },
    logLevel: "silent",
  }).catch(async (error) => {
    if (!error.errors) throw error;
    if (error.errors.some(({ text }) => /^No matching export in .* for import "handler"$/.test(text))) {
      throw new Error(`${source} ${NO_HANDLER}`);
    }
    throw new Error((await formatMessages(error.errors, { kind: "error" })).join("").trim());
  });
  for (const text of await formatMessages(made.warnings, { kind: "warning" })) console.error(text.trim());
  const [map, code] = ["extension.js.map", "extension.js"].map(
    (name) => made.outputFiles.find(({ path }) => path.endsWith(sep + name)).text,
  );
  const from = origins(code, JSON.parse(map));
  return { code: `${code}globalThis.algaOrigins = ${JSON.stringify(from)};\n`, from };
}

/** Which lines of the bundle are from which sources: where each run of lines begins that are consecutive in both. */
function origins(code, map) {
  const sources = new SourceMap(map);
  const files = [];
  const runs = [];
  code.split("\n").forEach((_, line) => {
    const { generatedLine, originalSource, originalLine } = sources.findEntry(line, Infinity);
    if (generatedLine !== line) return;
    const name = named(originalSource);
    if (!files.includes(name)) files.push(name);
    const [start, file, first] = runs.at(-1) ?? [];
    const index = files.indexOf(name);
    if (index !== file || originalLine + 1 - first !== line + 1 - start) runs.push([line + 1, index, originalLine + 1]);
  });
  return { files, runs };
}

/** A source as its author knows it. */
function named(source) {
  const own = relative(join(HERE, "dist"), resolve(source));
  return own.startsWith("..") ? source : `alga-extension/${own}`;
}

async function toComponent(code, engine, wit) {
  if (engine === "spidermonkey") {
    const { componentize } = await import("@bytecodealliance/componentize-js");
    // Clocks, random and stdio: without them time and random numbers are those of the build, and errors say nothing.
    const { component } = await componentize(code, {
      witPath: join(wit, "deps", "alga"),
      worldName: "runner",
      sourceName: "extension.js",
      disableFeatures: ["http", "fetch-event"],
    });
    return component;
  }
  const { componentize } = await import("componentize-qjs");
  const { component } = await componentize({
    witPath: wit,
    jsSource: code,
    world: "extension",
    sync: true,
  });
  return withoutFolder(component);
}

/** The component without the folder that the engine itself was built in, which its messages name. */
function withoutFolder(component) {
  const [from, to] = ["/home" + "/runner/", "/build/cargo/"].map((text) => Buffer.from(text));
  const made = Buffer.from(component);
  for (let place = made.indexOf(from); place >= 0; place = made.indexOf(from, place)) to.copy(made, place);
  return made;
}

/** Why a source could not be loaded, as the author sees it: without the engine's words around it, in the source's lines. */
async function failure(text, from) {
  const { located } = await import("./dist/origins.js");
  const quickjs = /module evaluation: Error: ([^]*)/.exec(text);
  const spidermonkey = /top-level script\n\S+ ([^]*?)\n(?:Additionally[^]*\n)?Stack:\n([^]*)/.exec(text);
  const said = quickjs?.[1] ?? spidermonkey?.slice(1).join("\n") ?? text;
  return said === text ? text : `The source fails as it is loaded: ${located(said, from).trim()}`;
}

function given() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        out: { type: "string", default: "dist/main.wasm" },
        engine: { type: "string", default: "quickjs" },
        help: { type: "boolean", default: false },
        "copy-wit": { type: "boolean", default: false },
      },
    });
  } catch (error) {
    throw usage(error.message);
  }
}

async function main() {
  const { values, positionals } = given();
  if (values.help) return process.stdout.write(HELP);
  if (values["copy-wit"]) return cpSync(SHARED_WIT, join(OWN_WIT, "alga"), { recursive: true });
  const [source, ...more] = positionals;
  if (!source || more.length > 0) throw usage("Give one SOURCE.");
  if (!["quickjs", "spidermonkey"].includes(values.engine)) throw usage(`There is no engine ${values.engine}; there are quickjs and spidermonkey.`);
  if (!existsSync(source)) throw usage(`There is no file ${source}.`);
  const folder = mkdtempSync(join(tmpdir(), "alga-build-"));
  try {
    const { code, from } = await bundle(source, values.engine);
    const component = await toComponent(code, values.engine, gatherWit(folder)).catch(async (error) => {
      throw new Error(await failure(error.message, from));
    });
    mkdirSync(dirname(resolve(values.out)), { recursive: true });
    writeFileSync(values.out, component);
    console.error(`${relative(process.cwd(), resolve(values.out))}: ${component.length} bytes`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function usage(message) {
  return Object.assign(new Error(message), { status: 2 });
}

main().catch((error) => {
  console.error(`alga-build: ${error.message}`);
  if (error.status === 2) console.error("See alga-build --help.");
  process.exitCode = error.status ?? 1;
});
