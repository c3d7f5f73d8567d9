// Stacks in terms of the author's files. An engine knows the bundle alone.

/** Where the bundle's lines are from. `alga-build` sets it, in a line after the last one of the bundle. */
export interface Origins {
  files: string[];
  /** Line of the bundle, index into `files` and line of that file, where each run of consecutive lines begins. */
  runs: [number, number, number][];
}

declare const globalThis: { algaOrigins?: Origins };

const PLACE = /(?:componentize-qjs:user\.js|\/?extension\.js):(\d+)(?::\d+)?/g;

/** `stack` with the places in the bundle replaced by those in the sources: `src/sync.ts:12`. */
export function located(stack: string, origins: Origins | undefined = globalThis.algaOrigins): string {
  if (!origins) return stack;
  return stack.replace(PLACE, (place, digits: string) => {
    const line = Number(digits);
    const run = origins.runs.filter(([start]) => start <= line).at(-1);
    return run ? `${origins.files[run[1]]}:${run[2] + line - run[0]}` : place;
  });
}

/** The error with its stack and its causes, in the order in which every engine's reads well. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return `The handler threw ${shown(error)}.`;
  const seen = new Set<unknown>();
  const parts: string[] = [];
  for (let next: unknown = error; next !== undefined && !seen.has(next); next = (next as { cause?: unknown }).cause) {
    seen.add(next);
    if (!(next instanceof Error)) {
      parts.push(shown(next));
      break;
    }
    const headline = next.message === "" ? next.name : `${next.name}: ${next.message}`;
    const stack = located(next.stack ?? "");
    parts.push(stack.startsWith(headline) ? stack.trimEnd() : `${headline}\n${stack}`.trimEnd());
  }
  return parts.join("\nCaused by: ");
}

function shown(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}
