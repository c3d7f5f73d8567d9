// What crosses to the host is looked at here first. QuickJS ends the guest for a value that is not of the host's type
// or a text that is not Unicode, and both engines take a number that is too large for its type modulo the type's size.

/** `value` as the host takes it. Throws a `TypeError` that begins with `name`, or with `name.key` for its member. */
export type Check<Value> = (value: unknown, name: string, key?: string) => Value;

type Checked<Of> = Of extends Check<infer Value> ? Value : never;

const LONE_SURROGATE = /[\ud800-\udfff]/u;
const LONE_SURROGATES = /[\ud800-\udfff]/gu;
const MOST_U32 = 2 ** 32 - 1;

export const text: Check<string> = (value, name, key) => {
  if (typeof value !== "string") throw wrong(value, at(name, key), "text");
  if (LONE_SURROGATE.test(value)) throw new TypeError(`${at(name, key)} holds half of a surrogate pair`);
  return value;
};

export const flag: Check<boolean> = (value, name, key) => {
  if (typeof value !== "boolean") throw wrong(value, at(name, key), "true or false");
  return value;
};

export const number: Check<number> = (value, name, key) => {
  if (typeof value !== "number") throw wrong(value, at(name, key), "a number");
  return value;
};

export const bytes: Check<Uint8Array> = (value, name, key) => {
  if (!(value instanceof Uint8Array)) throw wrong(value, at(name, key), "a Uint8Array");
  return value;
};

/** A whole number of that range. */
export const whole =
  (least: number, most: number): Check<number> =>
  (value, name, key) => {
    if (typeof value !== "number") throw wrong(value, at(name, key), "a number");
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new TypeError(`${at(name, key)} must be a whole number from ${least} to ${most}, not ${value}`);
    }
    return value;
  };

export const u32 = whole(0, MOST_U32);

export const oneOf =
  <Case extends string>(...cases: Case[]): Check<Case> =>
  (value, name, key) => {
    const found = cases.find((known) => known === value);
    if (found === undefined) throw new TypeError(`${at(name, key)} must be ${cases.join(" or ")}`);
    return found;
  };

/** `undefined` for a value that is absent, which `null` is, too. */
export const optional =
  <Value>(check: Check<Value>): Check<Value | undefined> =>
  (value, name, key) =>
    value === undefined || value === null ? undefined : check(value, name, key);

export const list =
  <Value>(check: Check<Value>): Check<Value[]> =>
  (value, name, key) => {
    if (!Array.isArray(value)) throw wrong(value, at(name, key), "an array");
    return value.map((item, place) => check(item, `${at(name, key)}[${place}]`));
  };

/** An object with the members of `shape`, and no others. */
export const record =
  <Shape extends Record<string, Check<unknown>>>(shape: Shape): Check<{ [Key in keyof Shape]: Checked<Shape[Key]> }> => {
    const members = Object.entries(shape);
    return (value, name, key) => {
      const own = at(name, key);
      if (typeof value !== "object" || value === null) throw wrong(value, own, "an object");
      const checked: Record<string, unknown> = {};
      for (const [member, check] of members) checked[member] = check((value as typeof checked)[member], own, member);
      return checked as { [Key in keyof Shape]: Checked<Shape[Key]> };
    };
  };

/** Any value as a line of the log: writing to the log never fails. */
export function printable(value: unknown): string {
  return String(value).replace(LONE_SURROGATES, "\ufffd");
}

// Put together where it is needed, which is hardly ever.
function at(name: string, key: string | undefined): string {
  return key === undefined ? name : `${name}.${key}`;
}

function wrong(value: unknown, name: string, needed: string): TypeError {
  const given = value === null ? "null" : typeof value;
  return new TypeError(`${name} must be ${needed}, not ${given}`);
}
