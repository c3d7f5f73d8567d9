"""The guest of the storm: it proves that request and replies were its own, and that no guest used its instance before.

Its request's path has a nonce and a letter for how it is to end. Its response's body is a checksum of the
whole request, one of all replies, the nonce, how often this instance was called, its tenant's mark, and the last reply.
"""

from __future__ import annotations

import struct
import zlib

from alga_runner.bundles import Bundle
from alga_runner.guests import messages
from tests.support.bundles import make_bundle

NONCE_CHARACTERS = 16
MARK = b"nonce="
OK, DIVIDES, UNREACHABLE, WILD, ABORTS, EXITS, BREACHES, BREACHES_LATER, SPINS, MOVES = "oduwaxbBsm"
"""How a guest ends. The first and the last respond."""

ROUNDS = 2
"""Host calls of a guest that moves; before each it computes, so that it is in the CPU thread."""

_SPINS = 3_000_000
"""Iterations of its loop: longer than a slice, so that the next guest of its module starts in the CPU thread."""

_REQUEST, _RESPONSE, _BODY = 4096, 65536, 65554
_REPLY = _BODY + 4 + 4 + NONCE_CHARACTERS + 2
_ABORT = 32768

_WAT = """
(module
  (import "alga:abi" "request" (func $request (param i32 i32) (result i32)))
  (import "alga:abi" "respond" (func $respond (param i32 i32)))
  (import "alga:scheduler" "list" (func $list (param i32 i32 i32 i32) (result i32)))
  (import "alga:log" "emit" (func $emit (param i32 i32 i32)))
  (import "env" "abort" (func $abort (param i32 i32 i32 i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "\\80")
  (data (i32.const {RESPONSE}) "\\82\\a6status\\cc\\c8\\a4body\\c5")
  (func (export "alga_abi_v1"))

  (func $sum (param $from i32) (param $length i32) (param $sum i32) (result i32)
    (local $end i32) (local $low i32) (local $high i32)
    (local.set $end (i32.add (local.get $from) (local.get $length)))
    (local.set $low (i32.and (local.get $sum) (i32.const 0xffff)))
    (local.set $high (i32.shr_u (local.get $sum) (i32.const 16)))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
      (local.set $low (i32.rem_u (i32.add (local.get $low) (i32.load8_u (local.get $from))) (i32.const 65521)))
      (local.set $high (i32.rem_u (i32.add (local.get $high) (local.get $low)) (i32.const 65521)))
      (local.set $from (i32.add (local.get $from) (i32.const 1)))
      (br $next)))
    (i32.or (local.get $low) (i32.shl (local.get $high) (i32.const 16))))

  (func $find (param $at i32) (result i32)
    (loop $next
      (if (i32.and (i32.eq (i32.load (local.get $at)) (i32.const 0x636e6f6e))
                   (i32.eq (i32.load16_u offset=4 (local.get $at)) (i32.const 0x3d65)))
        (then (return (i32.add (local.get $at) (i32.const 6)))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next))
    (unreachable))

  (func $compute (param $left i32)
    (loop $next (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))

  (func $spin (loop $for_ever (br $for_ever)))

  (func $ask (param $sum i32) (result i32)
    (local $length i32)
    (local.set $length (call $list (i32.const 0) (i32.const 1) (i32.const {REPLY}) (i32.const 8192)))
    (i32.store (i32.const 8) (local.get $length))
    (call $sum (i32.const {REPLY}) (local.get $length) (local.get $sum)))

  (func $abort_with (param $nonce i32) (local $at i32)
    (i32.store (i32.const {ABORT}) (i32.const 32))
    (loop $next
      (i32.store16 offset=4 (i32.add (i32.const {ABORT}) (i32.mul (local.get $at) (i32.const 2)))
        (i32.load8_u (i32.add (local.get $nonce) (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const 16))))
    (call $abort (i32.add (i32.const {ABORT}) (i32.const 4)) (i32.const 0)
      (i32.load16_u (local.get $nonce)) (i32.const 7)))

  (func (export "alga_handle") (param $length i32)
    (local $nonce i32) (local $kind i32) (local $text i32) (local $round i32) (local $replies i32)
    (i32.store8 (i32.const 4) (i32.add (i32.load8_u (i32.const 4)) (i32.const 1)))
    (drop (call $request (i32.const {REQUEST}) (local.get $length)))
    (local.set $nonce (call $find (i32.const {REQUEST})))
    (local.set $kind (i32.load8_u offset=16 (local.get $nonce)))
    (local.set $text (i32.load (local.get $nonce)))
    (local.set $replies (i32.const 1))
    (i32.store (i32.const {BODY}) (call $sum (i32.const {REQUEST}) (local.get $length) (i32.const 1)))
    (call $emit (i32.const 1) (local.get $nonce) (i32.const 16))

    (if (i32.eq (local.get $kind) (i32.const {DIVIDES}))
      (then (drop (i32.div_u (local.get $text) (i32.const 0)))))
    (if (i32.eq (local.get $kind) (i32.const {UNREACHABLE})) (then (unreachable)))
    (if (i32.eq (local.get $kind) (i32.const {WILD})) (then (drop (i32.load (i32.const -8)))))
    (if (i32.eq (local.get $kind) (i32.const {ABORTS})) (then (call $abort_with (local.get $nonce))))
    (if (i32.eq (local.get $kind) (i32.const {EXITS})) (then (call $exit (local.get $text))))
    (if (i32.eq (local.get $kind) (i32.const {BREACHES}))
      (then (call $respond (i32.or (local.get $text) (i32.const 0x80000000)) (i32.const 5))))
    (if (i32.eq (local.get $kind) (i32.const {BREACHES_LATER}))
      (then (drop (call $list (i32.or (local.get $text) (i32.const 0x80000000)) (i32.const 5)
        (i32.const 0) (i32.const 0)))))
    (if (i32.eq (local.get $kind) (i32.const {SPINS})) (then (call $spin)))

    (if (i32.eq (local.get $kind) (i32.const {MOVES}))
      (then (loop $next
        (call $compute (i32.const {SPIN_TURNS}))
        (local.set $replies (call $ask (local.get $replies)))
        (local.set $round (i32.add (local.get $round) (i32.const 1)))
        (br_if $next (i32.lt_u (local.get $round) (i32.const {ROUNDS})))))
      (else (local.set $replies (call $ask (local.get $replies)))))

    (i32.store offset=4 (i32.const {BODY}) (local.get $replies))
    (memory.copy (i32.const {NONCE_AT}) (local.get $nonce) (i32.const 16))
    (i32.store8 (i32.const {COUNT_AT}) (i32.load8_u (i32.const 4)))
    (i32.store8 offset=1 (i32.const {COUNT_AT}) (i32.const {TENANT}))
    (i32.store8 offset=16 (i32.const {RESPONSE})
      (i32.shr_u (i32.add (i32.load (i32.const 8)) (i32.const 26)) (i32.const 8)))
    (i32.store8 offset=17 (i32.const {RESPONSE}) (i32.add (i32.load (i32.const 8)) (i32.const 26)))
    (call $respond (i32.const {RESPONSE}) (i32.add (i32.load (i32.const 8)) (i32.const 44)))))
"""


def bundle(tenant_mark: str) -> Bundle:
    """The guest of the tenant with that mark, one character: each tenant has a module of its own."""
    names = {
        name: ord(letter)
        for name, letter in globals().items()
        if isinstance(letter, str) and len(letter) == 1
    }
    values = {
        **names,
        "TENANT": ord(tenant_mark),
        "REQUEST": _REQUEST,
        "RESPONSE": _RESPONSE,
        "BODY": _BODY,
        "REPLY": _REPLY,
        "NONCE_AT": _BODY + 8,
        "COUNT_AT": _BODY + 8 + NONCE_CHARACTERS,
        "ABORT": _ABORT,
        "SPIN_TURNS": _SPINS,
        "ROUNDS": ROUNDS,
    }
    text = _WAT
    for name, value in values.items():
        text = text.replace("{" + name + "}", str(value))
    return make_bundle(text)


def text_of(nonce: str) -> int:
    """The number that the guest makes of its nonce: what it exits with and points at."""
    return int.from_bytes(nonce[:4].encode(), "little")


def response_body(request: bytes, nonce: str, tenant_mark: str, reply: object, rounds: int) -> bytes:
    """What the guest answers with, given its request and a ``reply``, the same ``rounds`` times."""
    answer = messages.encode({"ok": reply})
    seen = struct.pack("<II", zlib.adler32(request), zlib.adler32(answer * rounds))
    return seen + nonce.encode() + b"\x01" + tenant_mark.encode() + answer
