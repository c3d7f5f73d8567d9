/** What a `Value` holds. `Uint` is an integer above the range of `i64`. */
export enum Kind {
  Nil,
  Bool,
  Int,
  Uint,
  Float,
  Text,
  Bytes,
  List,
  Map,
}

/**
 * Any value of a message: what JSON has, and bytes.
 *
 * AssemblyScript has no `any`; bodies, configuration and payloads are `Value`s. Build one with `Value.text("x")`
 * and its siblings, or `Value.map().set("full", Value.bool(true))`; look into a map with `get` and its typed siblings.
 */
@final
export class Value {
  boolean: bool = false;
  integer: i64 = 0;
  float: f64 = 0;
  string: string = "";
  bytes: Uint8Array = NO_BYTES;
  items: Array<Value> = NO_ITEMS;
  members: Map<string, Value> = NO_MEMBERS;

  constructor(public readonly kind: Kind) {}

  static nil(): Value {
    return new Value(Kind.Nil);
  }

  static bool(value: bool): Value {
    const result = new Value(Kind.Bool);
    result.boolean = value;
    return result;
  }

  static int(value: i64): Value {
    const result = new Value(Kind.Int);
    result.integer = value;
    return result;
  }

  /** An unsigned integer; one that an `i64` can hold becomes an `Int`. */
  static uint(value: u64): Value {
    const result = new Value(value > <u64>i64.MAX_VALUE ? Kind.Uint : Kind.Int);
    result.integer = <i64>value;
    return result;
  }

  static float(value: f64): Value {
    const result = new Value(Kind.Float);
    result.float = value;
    return result;
  }

  static text(value: string): Value {
    const result = new Value(Kind.Text);
    result.string = value;
    return result;
  }

  /** `value`, or nil when it is `null`. */
  static textOrNil(value: string | null): Value {
    return value === null ? Value.nil() : Value.text(value);
  }

  static binary(value: Uint8Array): Value {
    const result = new Value(Kind.Bytes);
    result.bytes = value;
    return result;
  }

  static list(): Value {
    const result = new Value(Kind.List);
    result.items = new Array<Value>();
    return result;
  }

  static map(): Value {
    const result = new Value(Kind.Map);
    result.members = new Map<string, Value>();
    return result;
  }

  /** Add `item` to this list. Returns this list. */
  push(item: Value): Value {
    assert(this.kind == Kind.List, "push needs a list");
    this.items.push(item);
    return this;
  }

  /** Set a member of this map; members keep the order they were first set in. Returns this map. */
  set(key: string, value: Value): Value {
    assert(this.kind == Kind.Map, "set needs a map");
    this.members.set(key, value);
    return this;
  }

  /** Set a text member if there is text; leave the member out if it is `null`. Returns this map. */
  setText(key: string, value: string | null): Value {
    return value === null ? this : this.set(key, Value.text(value));
  }

  /** Set a member; leave it out if `value` is `null`. Returns this map. */
  setValue(key: string, value: Value | null): Value {
    return value === null ? this : this.set(key, value);
  }

  /** Whether this is a map that has `key`, nil or not. */
  has(key: string): bool {
    return this.kind == Kind.Map && this.members.has(key);
  }

  /** A member of this map; `null` if this is no map or has no such member. */
  get(key: string): Value | null {
    return this.has(key) ? this.members.get(key) : null;
  }

  /** A text member; `null` if it is missing or not text. */
  getText(key: string): string | null {
    const value = this.get(key);
    return value !== null && value.kind == Kind.Text ? value.string : null;
  }

  /** A boolean member; `fallback` if it is missing or not a boolean. */
  getBool(key: string, fallback: bool = false): bool {
    const value = this.get(key);
    return value !== null && value.kind == Kind.Bool ? value.boolean : fallback;
  }

  /** An integer member; `fallback` if it is missing or not an integer. A float with an integral value counts as one. */
  getInt(key: string, fallback: i64 = 0): i64 {
    const value = this.get(key);
    if (value === null) return fallback;
    if (value.kind == Kind.Int) return value.integer;
    const integral = value.kind == Kind.Float && Math.abs(value.float) <= MAX_SAFE && value.float == Math.trunc(value.float);
    return integral ? <i64>value.float : fallback;
  }

  isNil(): bool {
    return this.kind == Kind.Nil;
  }
}

// Beyond it a float's neighbours are more than one apart: 2^53.
const MAX_SAFE: f64 = 9007199254740992.0;

// What the members above hold while a value is of another kind: shared, never written.
const NO_BYTES = new Uint8Array(0);
const NO_ITEMS = new Array<Value>();
const NO_MEMBERS = new Map<string, Value>();
