// The part of the web's library that both engines have.

declare class TextEncoder {
  readonly encoding: string;
  encode(text?: string): Uint8Array;
}
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(input?: ArrayBuffer | ArrayBufferView): string;
}
declare const console: Record<"log" | "info" | "debug" | "warn" | "error" | "trace", (...values: unknown[]) => void>;
declare const crypto: {
  getRandomValues<Values extends ArrayBufferView>(values: Values): Values;
  randomUUID(): string;
};
