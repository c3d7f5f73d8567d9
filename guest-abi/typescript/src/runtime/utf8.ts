// UTF-8 as TextEncoder and TextDecoder have it: anything else is replaced by U+FFFD.

const REPLACEMENT = 0xfffd;

export class Utf8Encoder {
  readonly encoding = "utf-8";

  encode(text = ""): Uint8Array {
    const given = String(text);
    const bytes = new Uint8Array(given.length * 3);
    let length = 0;
    for (let place = 0; place < given.length; place++) {
      let point = given.codePointAt(place)!;
      if (point > 0xffff) place++;
      else if (point >= 0xd800 && point <= 0xdfff) point = REPLACEMENT;
      if (point < 0x80) {
        bytes[length++] = point;
      } else if (point < 0x800) {
        bytes[length++] = 0xc0 | (point >> 6);
        bytes[length++] = 0x80 | (point & 63);
      } else if (point < 0x10000) {
        bytes[length++] = 0xe0 | (point >> 12);
        bytes[length++] = 0x80 | ((point >> 6) & 63);
        bytes[length++] = 0x80 | (point & 63);
      } else {
        bytes[length++] = 0xf0 | (point >> 18);
        bytes[length++] = 0x80 | ((point >> 12) & 63);
        bytes[length++] = 0x80 | ((point >> 6) & 63);
        bytes[length++] = 0x80 | (point & 63);
      }
    }
    return bytes.slice(0, length);
  }
}

export class Utf8Decoder {
  readonly encoding = "utf-8";
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;

  constructor(label = "utf-8", options: { fatal?: boolean; ignoreBOM?: boolean } = {}) {
    if (!/^(utf-?8|unicode-1-1-utf-8)$/i.test(label.trim())) throw new RangeError(`TextDecoder knows UTF-8, not ${label}.`);
    this.fatal = options.fatal ?? false;
    this.ignoreBOM = options.ignoreBOM ?? false;
  }

  decode(input: ArrayBuffer | ArrayBufferView = new Uint8Array()): string {
    const bytes = ArrayBuffer.isView(input)
      ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
      : new Uint8Array(input);
    const bom = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
    const parts: string[] = [];
    let points: number[] = [];
    let place = bom && !this.ignoreBOM ? 3 : 0;
    while (place < bytes.length) {
      const [point, length] = this.#next(bytes, place);
      points.push(point);
      place += length;
      if (points.length === 4096) {
        parts.push(String.fromCodePoint(...points));
        points = [];
      }
    }
    parts.push(String.fromCodePoint(...points));
    return parts.join("");
  }

  /** The code point at `place`, and how many bytes it takes (WHATWG Encoding, "UTF-8 decoder"). */
  #next(bytes: Uint8Array, place: number): [number, number] {
    const first = bytes[place]!;
    if (first < 0x80) return [first, 1];
    const needed = first >= 0xc2 && first <= 0xdf ? 1 : first >= 0xe0 && first <= 0xef ? 2 : first >= 0xf0 && first <= 0xf4 ? 3 : 0;
    let point = needed === 1 ? first & 0x1f : needed === 2 ? first & 0x0f : first & 0x07;
    let low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
    let high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
    for (let taken = 1; taken <= needed; taken++) {
      const byte = bytes[place + taken];
      if (byte === undefined || byte < low || byte > high) return [this.#bad(), taken];
      point = (point << 6) | (byte & 63);
      [low, high] = [0x80, 0xbf];
    }
    return needed === 0 ? [this.#bad(), 1] : [point, needed + 1];
  }

  #bad(): number {
    if (this.fatal) throw new TypeError("The data is not UTF-8.");
    return REPLACEMENT;
  }
}
