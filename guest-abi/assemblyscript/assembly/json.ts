import { MAX_DEPTH } from "./reader";
import { Kind, Value } from "./value";

/** `value` as JSON text. What JSON has no form for becomes `null`: bytes, NaN, infinities. */
export function toJson(value: Value): string {
  switch (value.kind) {
    case Kind.Bool: return value.boolean ? "true" : "false";
    case Kind.Int: return value.integer.toString();
    case Kind.Uint: return (<u64>value.integer).toString();
    case Kind.Float: return isFinite(value.float) ? value.float.toString() : "null";
    case Kind.Text: return quote(value.string);
    case Kind.List: {
      const parts = new Array<string>();
      for (let i = 0; i < value.items.length; i++) parts.push(toJson(value.items[i]));
      return "[" + parts.join(",") + "]";
    }
    case Kind.Map: {
      const keys = value.members.keys();
      const values = value.members.values();
      const parts = new Array<string>();
      for (let i = 0; i < keys.length; i++) parts.push(quote(keys[i]) + ":" + toJson(values[i]));
      return "{" + parts.join(",") + "}";
    }
    default: return "null";
  }
}

/** The value of JSON text (RFC 8259), or `null` if it is not JSON, nests deeper than 32 or has a key twice. */
export function fromJson(text: string): Value | null {
  const parser = new Parser(text);
  const value = parser.value(1);
  parser.space();
  return parser.failed || !parser.done() ? null : value;
}

function quote(text: string): string {
  let result = '"';
  let plain = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x20 && unit != 0x22 && unit != 0x5c) continue;
    result += text.substring(plain, i);
    if (unit == 0x22) result += '\\"';
    else if (unit == 0x5c) result += "\\\\";
    else if (unit == 0x0a) result += "\\n";
    else result += "\\u00" + (unit >> 4).toString(16) + (unit & 15).toString(16);
    plain = i + 1;
  }
  return result + text.substring(plain) + '"';
}

/** Recursive descent; after a fault `failed` is set and what it gives has no meaning. */
class Parser {
  failed: bool = false;
  private at: i32 = 0;

  constructor(private text: string) {}

  done(): bool {
    return this.at == this.text.length;
  }

  space(): void {
    while (this.next() == 0x20 || this.next() == 0x09 || this.next() == 0x0a || this.next() == 0x0d) this.at++;
  }

  value(depth: i32): Value {
    this.space();
    const unit = this.next();
    if (unit == 0x7b) return this.map(depth);
    if (unit == 0x5b) return this.list(depth);
    if (unit == 0x22) return Value.text(this.string());
    if (this.word("true")) return Value.bool(true);
    if (this.word("false")) return Value.bool(false);
    if (this.word("null")) return Value.nil();
    return this.number();
  }

  private map(depth: i32): Value {
    const result = Value.map();
    if (!this.enter(depth) || this.take(0x7d)) return result;
    do {
      this.space();
      const key = this.string();
      this.space();
      this.expect(0x3a);
      if (result.has(key)) this.failed = true;
      result.set(key, this.value(depth + 1));
    } while (this.take(0x2c));
    this.expect(0x7d);
    return result;
  }

  private list(depth: i32): Value {
    const result = Value.list();
    if (!this.enter(depth) || this.take(0x5d)) return result;
    do {
      result.push(this.value(depth + 1));
    } while (this.take(0x2c));
    this.expect(0x5d);
    return result;
  }

  private string(): string {
    this.expect(0x22);
    let result = "";
    let plain = this.at;
    while (!this.failed && this.next() != 0x22) {
      const unit = this.next();
      if (unit < 0x20) {
        this.failed = true;
      } else if (unit == 0x5c) {
        result += this.text.substring(plain, this.at++);
        result += this.escape();
        plain = this.at;
      } else {
        this.at++;
      }
    }
    result += this.text.substring(plain, this.at);
    this.expect(0x22);
    return result;
  }

  private escape(): string {
    const unit = this.next();
    this.at++;
    switch (unit) {
      case 0x22: return '"';
      case 0x5c: return "\\";
      case 0x2f: return "/";
      case 0x62: return "\b";
      case 0x66: return "\f";
      case 0x6e: return "\n";
      case 0x72: return "\r";
      case 0x74: return "\t";
      case 0x75: {
        let code = 0;
        for (let i = 0; i < 4; i++) {
          const digit = hexDigit(this.next());
          if (digit < 0) this.failed = true;
          code = (code << 4) | digit;
          this.at++;
        }
        return String.fromCharCode(code);
      }
    }
    this.failed = true;
    return "";
  }

  private number(): Value {
    const start = this.at;
    if (this.next() == 0x2d) this.at++;
    const first = this.at;
    const digits = this.digits();
    let exact = true;
    if (digits == 0 || (digits > 1 && this.text.charCodeAt(first) == 0x30)) this.failed = true;
    if (this.next() == 0x2e) {
      this.at++;
      exact = false;
      if (this.digits() == 0) this.failed = true;
    }
    if ((this.next() | 0x20) == 0x65) {
      this.at++;
      exact = false;
      if (this.next() == 0x2b || this.next() == 0x2d) this.at++;
      if (this.digits() == 0) this.failed = true;
    }
    if (this.failed) return Value.nil();
    const literal = this.text.substring(start, this.at);
    // Eighteen digits always fit an i64.
    return exact && digits <= 18 ? Value.int(I64.parseInt(literal)) : Value.float(F64.parseFloat(literal));
  }

  private digits(): i32 {
    const start = this.at;
    while (this.next() >= 0x30 && this.next() <= 0x39) this.at++;
    return this.at - start;
  }

  private word(word: string): bool {
    if (!this.text.startsWith(word, this.at)) return false;
    this.at += word.length;
    return true;
  }

  private enter(depth: i32): bool {
    this.at++;
    if (depth > MAX_DEPTH) this.failed = true;
    return !this.failed;
  }

  private take(unit: i32): bool {
    if (this.failed) return false;
    this.space();
    if (this.next() != unit) return false;
    this.at++;
    return true;
  }

  private expect(unit: i32): void {
    if (!this.take(unit)) this.failed = true;
  }

  /** The UTF-16 unit to be read next, -1 at the end. */
  private next(): i32 {
    return this.at < this.text.length ? this.text.charCodeAt(this.at) : -1;
  }
}

function hexDigit(unit: i32): i32 {
  if (unit >= 0x30 && unit <= 0x39) return unit - 0x30;
  const lower = unit | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
