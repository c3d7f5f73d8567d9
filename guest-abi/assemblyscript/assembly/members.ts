// How generated code reads and writes members of documents (documents.ts, operations.ts).

import { HostError, HostErrorCode, Reply } from "./reply";
import { Result } from "./result";
import { Kind, Value } from "./value";

/** A member that has a value; `null` if it is absent or nil. */
export function present(value: Value, key: string): Value | null {
  const member = value.get(key);
  return member !== null && member.isNil() ? null : member;
}

/** A text member; empty if it is missing or not text. */
export function textOr(value: Value, key: string): string {
  const text = value.getText(key);
  return text === null ? "" : text;
}

/** A member that is a number, whole or not; 0 if it is missing or not one. */
export function floatOr(value: Value, key: string): f64 {
  const member = value.get(key);
  return member !== null && member.kind == Kind.Float ? member.float : <f64>value.getInt(key);
}

/** A member that is bytes; empty if it is missing or not bytes. */
export function bytesOr(value: Value, key: string): Uint8Array {
  const member = value.get(key);
  return member !== null && member.kind == Kind.Bytes ? member.bytes : new Uint8Array(0);
}

/** The text that `item` is. */
export function itemText(item: Value): string {
  return item.string;
}

/** The values of a list; none if `value` is not one. */
export function listOr<T>(value: Value, decode: (item: Value) => T): Array<T> {
  const result = new Array<T>();
  if (value.kind != Kind.List) return result;
  for (let i = 0; i < value.items.length; i++) result.push(decode(value.items[i]));
  return result;
}

export function listValue<T>(items: Array<T>, encode: (item: T) => Value): Value {
  const result = Value.list();
  for (let i = 0; i < items.length; i++) result.push(encode(items[i]));
  return result;
}

export function textsValue(items: Array<string>): Value {
  return listValue<string>(items, (item: string) => Value.text(item));
}

/** The list that a reply's member is. A reply without it is an error: an empty list always means an empty list. */
export function listOf<T>(reply: Reply, key: string, decode: (item: Value) => T): Result<Array<T>> {
  if (reply.error !== null) return new Result<Array<T>>(null, reply.error);
  const list = reply.value.get(key);
  if (list === null || list.kind != Kind.List) return new Result<Array<T>>(null, lacking(key));
  return new Result<Array<T>>(listOr<T>(list, decode), null);
}

/** The text that a reply's member is. */
export function textOf(reply: Reply, key: string): Result<string> {
  if (reply.error !== null) return new Result<string>(null, reply.error);
  const text = reply.value.getText(key);
  return new Result<string>(text, text === null ? lacking(key) : null);
}

/** The bytes that a reply's member is. */
export function bytesOf(reply: Reply, key: string): Result<Uint8Array> {
  if (reply.error !== null) return new Result<Uint8Array>(null, reply.error);
  const bytes = reply.value.get(key);
  if (bytes === null || bytes.kind != Kind.Bytes) return new Result<Uint8Array>(null, lacking(key));
  return new Result<Uint8Array>(bytes.bytes, null);
}

/** What a reply's member is; neither value nor error when it is absent. */
export function foundIn<T>(reply: Reply, key: string, decode: (item: Value) => T): Result<T> {
  const member = present(reply.value, key);
  return member === null ? new Result<T>(null, reply.error) : new Result<T>(decode(member), null);
}

/** What a reply is, which has at least the members `required`. */
export function recordOf<T>(reply: Reply, required: Array<string>, decode: (item: Value) => T): Result<T> {
  if (reply.error !== null) return new Result<T>(null, reply.error);
  for (let i = 0; i < required.length; i++) {
    if (!reply.value.has(required[i])) return new Result<T>(null, lacking(required[i]));
  }
  return new Result<T>(decode(reply.value), null);
}

function lacking(key: string): HostError {
  return new HostError(HostErrorCode.INTERNAL, "The host's reply has no " + key + ".");
}
