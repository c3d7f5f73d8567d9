import { isUtf8 } from "./utf8";
import { Kind, Value } from "./value";

/** Containers nest at most this deep, the message's own map included (guest-abi/ABI.md, "Refusals"). */
export const MAX_DEPTH = 32;

/** What is wrong with bytes that were read. */
export enum Fault {
  None,
  /** Not one MessagePack document: truncated, followed by more bytes, or not MessagePack. */
  Framing,
  /** One document, but against a rule of the ABI. */
  Rule,
}

/**
 * Reads one MessagePack document.
 *
 * AssemblyScript has no exceptions to catch, so a reader remembers the worst fault it met and reads on with nils: look
 * at `fault` before using what it gave. Framing is worse than a rule, as it is for the host.
 */
export class Reader {
  fault: Fault = Fault.None;
  message: string = "";
  private at: usize;
  private end: usize;
  private stopped: bool = false;

  /** Reads `length` bytes at `start`, which must stay there meanwhile. */
  constructor(start: usize, length: usize) {
    this.at = start;
    this.end = start + length;
  }

  static of(bytes: Uint8Array): Reader {
    return new Reader(bytes.dataStart, bytes.length);
  }

  /** The document's value; `fault` tells whether it is valid. */
  document(): Value {
    const value = this.value(1);
    if (!this.stopped && this.at != this.end) this.broken("bytes follow the document");
    return value;
  }

  private value(depth: i32): Value {
    if (!this.holds(1)) return Value.nil();
    const tag = this.number<u8>();
    if (tag < 0x80) return Value.int(tag);
    if (tag >= 0xe0) return Value.int(<i8>tag);
    if (tag < 0x90) return this.map(tag & 0x0f, depth);
    if (tag < 0xa0) return this.list(tag & 0x0f, depth);
    if (tag < 0xc0) return Value.text(this.text(tag & 0x1f));
    switch (tag) {
      case 0xc0: return Value.nil();
      case 0xc2: return Value.bool(false);
      case 0xc3: return Value.bool(true);
      case 0xc4: return Value.binary(this.binary(this.number<u8>()));
      case 0xc5: return Value.binary(this.binary(this.number<u16>()));
      case 0xc6: return Value.binary(this.binary(this.number<u32>()));
      case 0xc7: return this.extension(this.number<u8>());
      case 0xc8: return this.extension(this.number<u16>());
      case 0xc9: return this.extension(this.number<u32>());
      case 0xca: return Value.float(reinterpret<f32>(this.number<u32>()));
      case 0xcb: return Value.float(reinterpret<f64>(this.number<u64>()));
      case 0xcc: return Value.int(this.number<u8>());
      case 0xcd: return Value.int(this.number<u16>());
      case 0xce: return Value.int(this.number<u32>());
      case 0xcf: return Value.uint(this.number<u64>());
      case 0xd0: return Value.int(this.number<i8>());
      case 0xd1: return Value.int(this.number<i16>());
      case 0xd2: return Value.int(this.number<i32>());
      case 0xd3: return Value.int(this.number<i64>());
      case 0xd4: return this.extension(1);
      case 0xd5: return this.extension(2);
      case 0xd6: return this.extension(4);
      case 0xd7: return this.extension(8);
      case 0xd8: return this.extension(16);
      case 0xd9: return Value.text(this.text(this.number<u8>()));
      case 0xda: return Value.text(this.text(this.number<u16>()));
      case 0xdb: return Value.text(this.text(this.number<u32>()));
      case 0xdc: return this.list(this.number<u16>(), depth);
      case 0xdd: return this.list(this.number<u32>(), depth);
      case 0xde: return this.map(this.number<u16>(), depth);
      case 0xdf: return this.map(this.number<u32>(), depth);
    }
    this.broken("0xc1 is not MessagePack");
    return Value.nil();
  }

  private list(count: u32, depth: i32): Value {
    const result = Value.list();
    // An item takes a byte at least, so a larger count is truncation: found before anything is allocated for it.
    if (!this.holds(count) || this.tooDeep(depth)) return result;
    for (let i: u32 = 0; i < count && !this.stopped; i++) result.push(this.value(depth + 1));
    return result;
  }

  private map(count: u32, depth: i32): Value {
    const result = Value.map();
    if (!this.holds(<u64>count * 2) || this.tooDeep(depth)) return result;
    for (let i: u32 = 0; i < count && !this.stopped; i++) {
      const key = this.value(depth + 1);
      const value = this.value(depth + 1);
      if (key.kind != Kind.Text) {
        this.against("a map has a key that is not a string");
      } else if (result.has(key.string)) {
        this.against("a map has the key " + key.string + " twice");
      } else {
        result.set(key.string, value);
      }
    }
    return result;
  }

  private text(length: u32): string {
    if (!this.holds(length)) return "";
    const ptr = this.at;
    this.at += length;
    if (isUtf8(ptr, length)) return String.UTF8.decodeUnsafe(ptr, length);
    this.against("a string is not UTF-8");
    return "";
  }

  private binary(length: u32): Uint8Array {
    if (!this.holds(length)) return new Uint8Array(0);
    const result = new Uint8Array(length);
    memory.copy(result.dataStart, this.at, length);
    this.at += length;
    return result;
  }

  private extension(length: u32): Value {
    if (this.holds(<u64>length + 1)) {
      this.at += length + 1;
      this.against("extension types and timestamps have no place here");
    }
    return Value.nil();
  }

  private number<T extends number>(): T {
    if (!this.holds(sizeof<T>())) return <T>0;
    const raw = load<T>(this.at);
    this.at += sizeof<T>();
    return sizeof<T>() == 1 ? raw : bswap<T>(raw);
  }

  private holds(count: u64): bool {
    if (this.stopped) return false;
    if (count <= <u64>(this.end - this.at)) return true;
    this.broken("the document is cut off");
    return false;
  }

  private tooDeep(depth: i32): bool {
    if (depth <= MAX_DEPTH) return false;
    this.against("containers nest deeper than 32");
    this.stopped = true;
    return true;
  }

  private broken(message: string): void {
    this.fault = Fault.Framing;
    this.message = message;
    this.stopped = true;
  }

  private against(message: string): void {
    if (this.fault != Fault.None) return;
    this.fault = Fault.Rule;
    this.message = message;
  }
}
