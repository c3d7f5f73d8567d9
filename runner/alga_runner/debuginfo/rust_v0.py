"""Names of Rust functions in the mangling scheme v0, in which today's standard library is compiled.

The grammar: https://doc.rust-lang.org/rustc/symbol-mangling/v0.html. A name is the guest's, so all of it is bounded.
"""

from __future__ import annotations

import string
from collections.abc import Callable

_BUDGET = 4_000
"""Parts that are read, and characters of identifiers that are written, a name: references repeat both."""
_MAX_DEPTH = 64
_DIGITS = frozenset(string.digits)
_HEX_DIGITS = frozenset("0123456789abcdef")
_BASE_62 = {digit: value for value, digit in enumerate(string.digits + string.ascii_letters)}
_BASIC = {
    "a": "i8",
    "b": "bool",
    "c": "char",
    "d": "f64",
    "e": "str",
    "f": "f32",
    "h": "u8",
    "i": "isize",
    "j": "usize",
    "l": "i32",
    "m": "u32",
    "n": "i128",
    "o": "u128",
    "p": "_",
    "s": "i16",
    "t": "u16",
    "u": "()",
    "v": "...",
    "x": "i64",
    "y": "u64",
    "z": "!",
}
_POINTERS = {"R": "&", "Q": "&mut ", "P": "*const ", "O": "*mut "}
_INTEGERS = frozenset("ahijlmnostxy")


_Read = Callable[[], str]


class _NotOne(Exception):
    """The text is not a name of this scheme, or goes beyond a bound."""


def demangled(name: str) -> str | None:
    """The path that ``name`` is, without the hashes of crates; ``None`` when it is not a name of this scheme."""
    parts = _Parts(name.removeprefix("_R").partition(".")[0])
    try:
        path = parts.path(in_value=True)
        if not parts.at_end():
            parts.path(in_value=False)  # the crate that has this instance
    except (_NotOne, ValueError):
        return None
    return path if parts.at_end() else None


class _Parts:
    """The parts of one name, read one after the other."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._budget = _BUDGET
        self._depth = 0
        self._lifetimes = 0

    def at_end(self) -> bool:
        return self._at == len(self._text)

    def path(self, *, in_value: bool) -> str:
        """A path. Generic arguments of a value have ``::`` before them."""
        path, is_open = self._open_path(in_value=in_value)
        return path + ">" * is_open

    def _open_path(self, *, in_value: bool) -> tuple[str, bool]:
        """A path, and whether the bracket that closes its generic arguments is missing."""
        self._enter()
        match self._next():
            case "C":
                self._disambiguator()
                path = self._identifier()
            case "M":
                self._impl_path()
                path = f"<{self._type()}>"
            case "X":
                self._impl_path()
                path = f"<{self._type()} as {self.path(in_value=False)}>"
            case "Y":
                path = f"<{self._type()} as {self.path(in_value=False)}>"
            case "N":
                path = self._nested(in_value=in_value)
            case "I":
                path = self.path(in_value=in_value) + "::" * in_value + "<" + self._list(self._argument)
                self._depth -= 1
                return path, True
            case "B":
                at = self._back()
                path, is_open = self._open_path(in_value=in_value)
                self._at = at
                self._depth -= 1
                return path, is_open
            case _:
                raise _NotOne
        self._depth -= 1
        return path, False

    def _nested(self, *, in_value: bool) -> str:
        namespace = self._next()
        if not (namespace.isalpha() and namespace.isascii()):
            raise _NotOne
        path = self.path(in_value=in_value)
        number, name = self._disambiguator(), self._identifier()
        if namespace.islower():
            return f"{path}::{name}" if name else path
        kind = {"C": "closure", "S": "shim"}.get(namespace, namespace)
        return f"{path}::{{{kind}{':' * bool(name)}{name}#{number}}}"

    def _impl_path(self) -> None:
        """Skip where the implementation is written."""
        self._disambiguator()
        self.path(in_value=False)

    def _argument(self) -> str:
        if self._eat("L"):
            return self._lifetime()
        if self._eat("K"):
            return self._const()
        return self._type()

    def _type(self) -> str:
        self._enter()
        first = self._next()
        if first in _BASIC:
            text = _BASIC[first]
        elif first in _POINTERS:
            lifetime = self._lifetime() if first in "RQ" and self._eat("L") else "'_"
            sigil = _POINTERS[first] if lifetime == "'_" else f"&{lifetime} {_POINTERS[first][1:]}"
            text = sigil + self._type()
        elif first == "A":
            text = f"[{self._type()}; {self._const()}]"
        elif first == "S":
            text = f"[{self._type()}]"
        elif first == "T":
            items = self._items(self._type)
            text = f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
        elif first == "F":
            text = self._bound(self._function)
        elif first == "D":
            text = "dyn " + self._bound(lambda: self._list(self._dyn_trait, " + "))
            if not self._eat("L"):
                raise _NotOne
            lifetime = self._lifetime()
            text += "" if lifetime == "'_" else f" + {lifetime}"
        elif first == "B":
            at = self._back()
            text = self._type()
            self._at = at
        else:
            self._at -= 1
            text = self.path(in_value=False)
        self._depth -= 1
        return text

    def _function(self) -> str:
        text = "unsafe " if self._eat("U") else ""
        if self._eat("K"):
            abi = "C" if self._eat("C") else self._identifier().replace("_", "-")
            text += f'extern "{abi}" '
        text += f"fn({self._list(self._type)})"
        result = self._type()
        return text if result == "()" else f"{text} -> {result}"

    def _dyn_trait(self) -> str:
        path, is_open = self._open_path(in_value=False)
        while self._eat("p"):
            path += ", " if is_open else "<"
            is_open = True
            path += f"{self._identifier()} = {self._type()}"
        return path + ">" * is_open

    def _const(self) -> str:
        self._enter()
        if self._eat("B"):
            at = self._back()
            text = self._const()
            self._at = at
        else:
            text = self._value(self._next())
        self._depth -= 1
        return text

    def _value(self, kind: str) -> str:
        if kind == "p":
            return "_"
        negative = self._eat("n")
        digits = self._until_underscore()
        self._spend(len(digits))
        if not set(digits) <= _HEX_DIGITS:
            raise _NotOne
        value = int(digits or "0", 16)
        if kind == "b" and value <= 1:
            return "true" if value else "false"
        if kind == "c" and value <= 0x10FFFF:
            return f"'{chr(value)}'" if chr(value).isprintable() else f"'\\u{{{value:x}}}'"
        if kind in _INTEGERS:
            return f"{'-' * negative}{value}"
        raise _NotOne

    def _bound(self, read: _Read) -> str:
        """What ``read`` reads, with the lifetimes that are bound there."""
        count = self._base_62() + 1 if self._eat("G") else 0
        self._spend(count)
        before = self._lifetimes
        self._lifetimes += count
        names = ", ".join(_lifetime_name(number) for number in range(before, self._lifetimes))
        text = (f"for<{names}> " if names else "") + read()
        self._lifetimes = before
        return text

    def _lifetime(self) -> str:
        number = self._base_62()
        if number > self._lifetimes:
            raise _NotOne
        return "'_" if number == 0 else _lifetime_name(self._lifetimes - number)

    def _items(self, read: _Read) -> list[str]:
        items = []
        while not self._eat("E"):
            items.append(read())
        return items

    def _list(self, read: _Read, separator: str = ", ") -> str:
        return separator.join(self._items(read))

    def _identifier(self) -> str:
        punycode = self._eat("u")
        digits = "0" if self._eat("0") else ""
        while digits != "0" and self._peek() in _DIGITS:
            digits += self._next()
            self._spend(1)
        length = int(digits)
        self._eat("_")
        text = self._text[self._at : self._at + length]
        self._at += length
        if len(text) < length:
            raise _NotOne
        self._spend(length)
        if punycode:
            text = "-".join(text.rsplit("_", 1)).encode("ascii").decode("punycode")
        if not text.isprintable():
            raise _NotOne
        return text

    def _disambiguator(self) -> int:
        return self._base_62() + 1 if self._eat("s") else 0

    def _base_62(self) -> int:
        digits = self._until_underscore()
        self._spend(len(digits))
        if not set(digits) <= _BASE_62.keys():
            raise _NotOne
        value = 0
        for digit in digits:
            value = value * 62 + _BASE_62[digit]
        return value + 1 if digits else 0

    def _until_underscore(self) -> str:
        end = self._text.find("_", self._at)
        if end < 0:
            raise _NotOne
        text, self._at = self._text[self._at : end], end + 1
        return text

    def _back(self) -> int:
        """Go back to where a reference leads. Returns where to go on after it."""
        here = self._at - 1
        target = self._base_62()
        if target >= here:
            raise _NotOne
        after, self._at = self._at, target
        return after

    def _enter(self) -> None:
        self._depth += 1
        self._spend(1)
        if self._depth > _MAX_DEPTH:
            raise _NotOne

    def _spend(self, amount: int) -> None:
        self._budget -= amount
        if self._budget < 0:
            raise _NotOne

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        if self.at_end():
            raise _NotOne
        self._at += 1
        return self._text[self._at - 1]

    def _eat(self, character: str) -> bool:
        if self._peek() != character:
            return False
        self._at += 1
        return True


def _lifetime_name(number: int) -> str:
    return f"'{string.ascii_lowercase[number]}" if number < 26 else f"'_{number}"
