// What QuickJS lacks and extensions expect: promises that settle, UTF-8, the console, random numbers.

import { logError, logInfo, logWarn } from "alga:extension/logging";
import { getRandomBytes } from "wasi:random/random@0.2.12";
import { printable } from "../checks.js";
import { describe } from "../origins.js";
import { JobPromise, queueJob, settle } from "./promise.js";
import { Utf8Decoder, Utf8Encoder } from "./utf8.js";

const MOST_RANDOM_BYTES = 65536;

export { settle };

function shown(value: unknown): string {
  if (typeof value === "string") return value;
  if (value instanceof Error) return describe(value);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

const line = (write: (message: string) => void) => (...values: unknown[]) => write(printable(values.map(shown).join(" ")));

// The build runs the script once and stores the engine's memory: a seed or a number from then would be the same in
// every execution. So each number is asked for when it is used.
function random(): number {
  const bytes = getRandomBytes(7);
  let number = 0;
  for (const byte of bytes) number = number * 256 + byte;
  return (number % 2 ** 53) / 2 ** 53;
}

function getRandomValues<Values extends ArrayBufferView>(values: Values): Values {
  if (values.byteLength > MOST_RANDOM_BYTES) {
    throw new RangeError(`getRandomValues gives at most ${MOST_RANDOM_BYTES} bytes.`);
  }
  if (values.byteLength > 0) {
    const bytes = getRandomBytes(values.byteLength);
    new Uint8Array(values.buffer, values.byteOffset, values.byteLength).set(bytes);
  }
  return values;
}

function randomUUID(): string {
  const bytes = getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

Math.random = random;
Object.assign(globalThis, {
  Promise: JobPromise,
  queueMicrotask: queueJob,
  TextEncoder: Utf8Encoder,
  TextDecoder: Utf8Decoder,
  console: {
    log: line(logInfo),
    info: line(logInfo),
    debug: line(logInfo),
    warn: line(logWarn),
    error: line(logError),
    trace: line(logInfo),
  },
  crypto: { getRandomValues, randomUUID },
});
