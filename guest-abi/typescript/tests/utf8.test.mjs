import assert from "node:assert/strict";
import { test } from "node:test";
import { Utf8Decoder, Utf8Encoder } from "../dist/runtime/utf8.js";

const TEXTS = ["", "plain", "ünïcode ✓", "𝄞", "a\ud800b", "\udc00", "\ud834", "\ufeffbom", "\0", "x".repeat(10_000), "é€𝄞".repeat(3000)];

test("the encoder gives what the platform's does", () => {
  for (const text of TEXTS) {
    assert.deepEqual(new Utf8Encoder().encode(text), new Uint8Array(new TextEncoder().encode(text)));
  }
});

/** Every sequence of up to three bytes from those where the decoder's rules change, and many of four. */
function* sequences() {
  const edges = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff];
  for (const a of edges) {
    yield [a];
    for (const b of edges) {
      yield [a, b];
      for (const c of edges) {
        yield [a, b, c];
        yield [a, b, c, 0x80, 0x41];
      }
    }
  }
}

test("the decoder gives what the platform's does, for any bytes", () => {
  for (const bytes of sequences()) {
    const data = Uint8Array.from(bytes);
    assert.equal(new Utf8Decoder().decode(data), new TextDecoder().decode(data), bytes.map((byte) => byte.toString(16)).join(" "));
  }
  for (const text of TEXTS) {
    const data = new TextEncoder().encode(text);
    assert.equal(new Utf8Decoder().decode(data), new TextDecoder().decode(data));
    assert.equal(new Utf8Decoder("utf-8", { ignoreBOM: true }).decode(data), new TextDecoder("utf-8", { ignoreBOM: true }).decode(data));
  }
});

test("a fatal decoder throws for what is not UTF-8", () => {
  for (const bytes of sequences()) {
    const data = Uint8Array.from(bytes);
    const decode = (Decoder) => {
      try {
        return new Decoder("utf-8", { fatal: true }).decode(data);
      } catch (error) {
        return error.constructor.name;
      }
    };
    assert.equal(decode(Utf8Decoder), decode(TextDecoder));
  }
});

test("the decoder takes views and buffers, and no other encoding", () => {
  const data = new TextEncoder().encode("xabcx");
  assert.equal(new Utf8Decoder().decode(data.subarray(1, 4)), "abc");
  assert.equal(new Utf8Decoder().decode(data.buffer), "xabcx");
  assert.throws(() => new Utf8Decoder("latin1"), RangeError);
});
