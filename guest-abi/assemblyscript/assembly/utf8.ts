/**
 * Whether `length` bytes at `ptr` are UTF-8: no stray or missing continuation, no overlong form, no surrogate,
 * nothing above U+10FFFF (Unicode, table 3-7).
 */
export function isUtf8(ptr: usize, length: i32): bool {
  const end = ptr + length;
  while (ptr < end) {
    const first = load<u8>(ptr++);
    if (first < 0x80) continue;
    let more: i32;
    let low: u8 = 0x80;
    let high: u8 = 0xbf;
    if (first >= 0xc2 && first <= 0xdf) {
      more = 1;
    } else if (first >= 0xe0 && first <= 0xef) {
      more = 2;
      if (first == 0xe0) low = 0xa0;
      if (first == 0xed) high = 0x9f;
    } else if (first >= 0xf0 && first <= 0xf4) {
      more = 3;
      if (first == 0xf0) low = 0x90;
      if (first == 0xf4) high = 0x8f;
    } else {
      return false;
    }
    if (<usize>more > end - ptr) return false;
    for (; more > 0; more--) {
      const next = load<u8>(ptr++);
      if (next < low || next > high) return false;
      low = 0x80;
      high = 0xbf;
    }
  }
  return true;
}
