// A guest that ends badly in the way its request's body asks for, to see that errors name files and lines.

// @ts-ignore: decorator
@external("alga:abi", "request")
declare function request(at: usize, capacity: i32): i32;

const document = memory.data(4096);
let turns: i32 = 3;

export function alga_abi_v1(): void {}

/** The letter behind "do:" in the request. */
function wanted(length: i32): u8 {
  for (let at = document + 3; at < document + length; at++) {
    if (load<u8>(at - 3) == 0x64 && load<u8>(at - 2) == 0x6f && load<u8>(at - 1) == 0x3a) return load<u8>(at);
  }
  return 0;
}

function share(whole: i32, parts: i32): i32 {
  return whole / parts;
}

function refuse(): void {
  throw new Error("nothing is left, not even ½");
}

export function alga_handle(length: i32): void {
  request(document, 4096);
  const letter = wanted(length);
  if (letter == 0x64) {
    while (true) turns = share(100, turns - 1);
  }
  if (letter == 0x74) refuse();
}
