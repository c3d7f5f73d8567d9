import { Kind, Value } from "./value";

/** Writes MessagePack, always in the shortest form of an integer, a text or a container; floats take 64 bits. */
export class Writer {
  private buffer: Uint8Array;
  private at: i32 = 0;

  constructor(capacity: i32 = 256) {
    this.buffer = new Uint8Array(capacity);
  }

  /** The bytes written so far. */
  bytes(): Uint8Array {
    return this.buffer.subarray(0, this.at);
  }

  nil(): void {
    this.byte(0xc0);
  }

  bool(value: bool): void {
    this.byte(value ? 0xc3 : 0xc2);
  }

  int(value: i64): void {
    if (value >= 0) {
      this.uint(<u64>value);
    } else if (value >= -32) {
      this.byte(<u8>value);
    } else if (value >= i8.MIN_VALUE) {
      this.tagged<i8>(0xd0, <i8>value);
    } else if (value >= i16.MIN_VALUE) {
      this.tagged<i16>(0xd1, <i16>value);
    } else if (value >= i32.MIN_VALUE) {
      this.tagged<i32>(0xd2, <i32>value);
    } else {
      this.tagged<i64>(0xd3, value);
    }
  }

  uint(value: u64): void {
    if (value < 0x80) {
      this.byte(<u8>value);
    } else {
      this.sized(value, 0xcc, 0xcd, 0xce);
    }
  }

  float(value: f64): void {
    this.tagged<u64>(0xcb, reinterpret<u64>(value));
  }

  /** UTF-8; a lone surrogate becomes U+FFFD, because half a pair has no UTF-8 form. */
  text(value: string): void {
    const length = String.UTF8.byteLength(value);
    if (length < 32) {
      this.byte(0xa0 | <u8>length);
    } else {
      this.sized(length, 0xd9, 0xda, 0xdb);
    }
    this.reserve(length);
    String.UTF8.encodeUnsafe(
      changetype<usize>(value), value.length, this.here(), false, String.UTF8.ErrorMode.REPLACE,
    );
    this.at += length;
  }

  binary(value: Uint8Array): void {
    this.sized(value.length, 0xc4, 0xc5, 0xc6);
    this.reserve(value.length);
    memory.copy(this.here(), value.dataStart, value.length);
    this.at += value.length;
  }

  /** The head of a list; `count` values must follow. */
  list(count: i32): void {
    this.container(count, 0x90, 0xdc);
  }

  /** The head of a map; `count` pairs of text and value must follow. */
  map(count: i32): void {
    this.container(count, 0x80, 0xde);
  }

  value(value: Value): void {
    switch (value.kind) {
      case Kind.Nil: return this.nil();
      case Kind.Bool: return this.bool(value.boolean);
      case Kind.Int: return this.int(value.integer);
      case Kind.Uint: return this.uint(<u64>value.integer);
      case Kind.Float: return this.float(value.float);
      case Kind.Text: return this.text(value.string);
      case Kind.Bytes: return this.binary(value.bytes);
      case Kind.List: {
        this.list(value.items.length);
        for (let i = 0; i < value.items.length; i++) this.value(value.items[i]);
        return;
      }
      case Kind.Map: {
        const keys = value.members.keys();
        const values = value.members.values();
        this.map(keys.length);
        for (let i = 0; i < keys.length; i++) {
          this.text(keys[i]);
          this.value(values[i]);
        }
      }
    }
  }

  private container(count: i32, short: u8, long: u8): void {
    if (count < 16) {
      this.byte(short | <u8>count);
    } else if (count <= 0xffff) {
      this.tagged<u16>(long, <u16>count);
    } else {
      this.tagged<u32>(long + 1, count);
    }
  }

  private sized(value: u64, tag8: u8, tag16: u8, tag32: u8): void {
    if (value <= 0xff) {
      this.tagged<u8>(tag8, <u8>value);
    } else if (value <= 0xffff) {
      this.tagged<u16>(tag16, <u16>value);
    } else if (value <= 0xffff_ffff) {
      this.tagged<u32>(tag32, <u32>value);
    } else {
      this.tagged<u64>(tag32 + 1, value);
    }
  }

  private byte(value: u8): void {
    this.reserve(1);
    store<u8>(this.here(), value);
    this.at += 1;
  }

  private tagged<T extends number>(tag: u8, value: T): void {
    this.byte(tag);
    this.reserve(sizeof<T>());
    store<T>(this.here(), sizeof<T>() == 1 ? value : bswap<T>(value));
    this.at += sizeof<T>();
  }

  private here(): usize {
    return this.buffer.dataStart + this.at;
  }

  private reserve(count: i32): void {
    const needed = this.at + count;
    if (needed <= this.buffer.length) return;
    const larger = new Uint8Array(max(needed, this.buffer.length * 2));
    memory.copy(larger.dataStart, this.buffer.dataStart, this.at);
    this.buffer = larger;
  }
}

/** `value` as one MessagePack document. */
export function encode(value: Value): Uint8Array {
  const writer = new Writer();
  writer.value(value);
  return writer.bytes();
}
