"""The manifest of an extension, version 2, by the rules a publish enforces (alga-contract 3.1).

Capabilities are checked here too: a publish lets an unknown name pass and drops it later without a word.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, Literal, NoReturn

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from alga_common.bundle_layout import WASM
from alga_common.capabilities import KNOWN_CAPABILITIES
from alga_common.http.semantics import METHODS
from alga_common.routing import schedulable
from alga_common.text import is_unicode
from alga_common.wire import (
    MAX_ENDPOINT_PATH_BYTES,
    MAX_ENDPOINT_SEGMENTS,
    MAX_ENDPOINTS,
    MAX_EXTENSION_NAME,
    MAX_VERSION,
)

from ..errors import BundleInvalid, ManifestInvalid
from ._base import WireModel

MAX_MANIFEST_BYTES = 1024 * 1024
"""A manifest is not larger than this."""

MAX_ENTRIES = 1_000
"""Fields, assets and precompiled modules of a manifest."""

MAX_CAPABILITIES = 100
"""Capabilities of a manifest, each as often as it is named."""

_VERSION = re.compile(r"\d+\.\d+\.(\*|\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?)", re.ASCII)
_FAULTS_SHOWN = 20
_SHOWN = 80
"""Characters of a text that a message quotes."""
_HINT = "See docs/manifest.md for every field and its rule."


def _refuse(phrase: str) -> NoReturn:
    raise PydanticCustomError("manifest", "{phrase}", {"phrase": phrase})


def _shown(text: str) -> str:
    """``text`` as a message quotes it, cut where it is long."""
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")


def _storable(text: str) -> str:
    if "\0" in text or not is_unicode(text):
        _refuse(f"holds characters that cannot be stored: {_shown(text)}")
    return text


def _short(most: int) -> AfterValidator:
    def check(text: str) -> str:
        if len(text) > most:
            _refuse(f"is too long: {len(text)} characters, at most {most}")
        return text

    return AfterValidator(check)


def _at_most(most: int, noun: str) -> BeforeValidator:
    """The check that an array or object is not longer. It is before those of its entries, each with its fault."""

    def check(entries: Any) -> Any:
        if isinstance(entries, list | dict) and len(entries) > most:
            _refuse(f"is too long: {len(entries)} {noun}, at most {most}")
        return entries

    return BeforeValidator(check)


def _each_once(endpoints: list[ManifestEndpoint]) -> list[ManifestEndpoint]:
    seen = set()
    for index, item in enumerate(endpoints):
        if (item.method, item.path) in seen:
            phrase = f"repeats {item.method} {_shown(item.path)}, which is declared above it"
            raise PydanticCustomError("repeated", "{phrase}", {"phrase": phrase, "index": index})
        seen.add((item.method, item.path))
    return endpoints


def _version(text: str) -> str:
    if not _VERSION.fullmatch(text):
        _refuse(f"must be X.Y.Z, X.Y.Z-pre, X.Y.Z+build or X.Y.*, not {_shown(text)}")
    return text


def _runtime(text: str | None, info: ValidationInfo) -> str | None:
    if text is None:
        api = info.data.get("api")
        if info.data.get("ui") is None or (api is not None and api.endpoints):
            _refuse("is required (only an extension of ui/ alone can do without)")
        return None
    if "@" not in text and "-" not in text:
        _refuse(f"must name a runtime and its version, like wasm-js@1, not {_shown(text)}")
    return text


def _no_climbing(text: str) -> str:
    if ".." in text:
        _refuse(f"must not hold '..': {_shown(text)}")
    return text


def _method(text: str) -> str:
    if text.upper() not in METHODS:
        _refuse(f"must be one of {', '.join(sorted(METHODS))}, not {_shown(text)}")
    return text.upper()


def _path(text: str) -> str:
    if re.search(r"\s", text):
        _refuse(f"must not hold white space: {_shown(text)}")
    clean = re.sub(r"/(\.?/)+", "/", "/" + text)
    if (size := len(clean.encode("utf-8", "replace"))) > MAX_ENDPOINT_PATH_BYTES:
        _refuse(f"is too long: {size} bytes, at most {MAX_ENDPOINT_PATH_BYTES}: {_shown(clean)}")
    if (segments := clean.count("/")) > MAX_ENDPOINT_SEGMENTS:
        _refuse(f"has {segments} segments, at most {MAX_ENDPOINT_SEGMENTS}: {_shown(clean)}")
    return clean


def _capability(text: str) -> str:
    name = text.strip().lower()
    if name in KNOWN_CAPABILITIES:
        return name
    prefixed = f"cap:{name.removeprefix('cap:')[:_SHOWN]}"
    nearest = difflib.get_close_matches(prefixed, sorted(KNOWN_CAPABILITIES), n=1, cutoff=0.0)[0]
    _refuse(f"names the unknown capability {_shown(text)}; the nearest known one is {nearest}")


Text = Annotated[str, StringConstraints(min_length=1)]


_Name = Annotated[Text, _short(MAX_EXTENSION_NAME), AfterValidator(_storable)]


class _Part(WireModel):
    """A nested object: extra members are dropped, as a publish drops them; types are strict."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class ManifestEndpoint(_Part):
    """One endpoint: its method in upper case, its path clean and with a leading slash."""

    method: Annotated[str, AfterValidator(_method)]
    path: Annotated[Text, AfterValidator(_no_climbing), AfterValidator(_path), AfterValidator(_storable)]
    handler: Annotated[str, AfterValidator(_no_climbing), AfterValidator(_storable)]

    @property
    def schedulable(self) -> bool:
        """Whether a schedule can call it: GET or POST, no path parameters (alga-contract 5)."""
        return schedulable(self.method, self.path)


class ManifestApi(_Part):
    """The ``api`` part."""

    endpoints: Annotated[
        list[ManifestEndpoint], _at_most(MAX_ENDPOINTS, "endpoints"), AfterValidator(_each_once)
    ] = Field(default_factory=list)


class ManifestHook(_Part):
    """One place in the host's pages where the extension appears."""

    label: Text | None = None


class ManifestHooks(_Part):
    """The hooks that exist."""

    app_menu: ManifestHook | None = Field(default=None, alias="appMenu")
    client_portal_menu: ManifestHook | None = Field(default=None, alias="clientPortalMenu")


class ManifestUi(_Part):
    """The ``ui`` part: an iframe and where it is reached from."""

    type: Literal["iframe"]
    entry: Annotated[Text, AfterValidator(_no_climbing)]
    hooks: ManifestHooks | None = None


class Manifest(_Part):
    """An extension's description of itself. ``capabilities`` are normalised, sorted and known."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: _Name
    publisher: _Name | None = None
    version: Annotated[str, _short(MAX_VERSION), AfterValidator(_version)]
    capabilities: Annotated[
        list[Annotated[Text, AfterValidator(_capability)]],
        _at_most(MAX_CAPABILITIES, "capabilities"),
        AfterValidator(lambda names: sorted(set(names))),
    ] = Field(default_factory=list)
    ui: ManifestUi | None = None
    api: ManifestApi | None = None
    runtime: Annotated[str | None, AfterValidator(_runtime), Field(default=None, validate_default=True)]
    """``None`` only for an extension of pages alone."""
    assets: Annotated[list[str], _at_most(MAX_ENTRIES, "assets")] = Field(default_factory=list)
    precompiled: Annotated[dict[str, str], _at_most(MAX_ENTRIES, "modules")] = Field(default_factory=dict)

    @property
    def has_handler(self) -> bool:
        """Whether it describes a module: it has endpoints, or a runtime of WebAssembly."""
        return bool(self.endpoints) or (self.runtime or "").startswith("wasm")

    @property
    def endpoints(self) -> tuple[ManifestEndpoint, ...]:
        """The endpoints, in the manifest's order."""
        return tuple(self.api.endpoints) if self.api else ()


def parse_manifest(data: bytes | str | Mapping[str, Any]) -> Manifest:
    """The manifest in ``data``: JSON in UTF-8, or an object already decoded.

    Raises ``ManifestInvalid``: its message begins with the first fault and lists the others.
    """
    document = data if isinstance(data, Mapping) else _decode(data)
    if not isinstance(document, Mapping):
        raise ManifestInvalid("The manifest must be a JSON object.", hint=_HINT)
    if len(document) > MAX_ENTRIES:
        raise ManifestInvalid(
            f"The manifest has {len(document)} top-level fields, at most {MAX_ENTRIES} are read.", hint=_HINT
        )
    try:
        return Manifest.model_validate(dict(document))
    except ValidationError as error:
        raise _invalid(error.errors(include_url=False, include_input=False)) from None


def check_module_presence(manifest: Manifest, paths: Collection[str], name: str = "The bundle") -> None:
    """Check that ``name``, a bundle with the files ``paths``, has the module that ``manifest`` describes.

    Raises ``BundleInvalid`` for a handler without a module and for neither module nor pages, ``ManifestInvalid`` for a
    module without a ``runtime``.
    """
    if WASM in paths:
        if manifest.runtime is None:
            raise ManifestInvalid(f"The manifest's runtime is required: {name} holds {WASM}.", hint=_HINT)
    elif manifest.has_handler:
        needs = "endpoints" if manifest.endpoints else f"runtime {manifest.runtime}"
        raise BundleInvalid(
            f"{name} is not built: it holds no {WASM}, which its manifest's {needs} need"
            f"{'' if manifest.endpoints else 's'}.",
            hint="Run the extension's own build; the samples of this repository are built by `make samples`. An"
            " extension of ui/ alone has neither `runtime` nor `api.endpoints`.",
        )
    elif manifest.ui is None or not any(path.startswith("ui/") for path in paths):
        raise BundleInvalid(
            f"{name} holds neither {WASM} nor pages: an extension of ui/ alone has files there, and a `ui` in its"
            " manifest.",
            hint=_HINT,
        )


def _decode(data: bytes | str) -> Any:
    if len(data) > MAX_MANIFEST_BYTES:
        raise ManifestInvalid(f"The manifest is larger than {MAX_MANIFEST_BYTES} bytes.", hint=_HINT)
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ManifestInvalid(f"The manifest is not JSON at {place}: {error.msg}.", hint=_HINT) from None
    except UnicodeDecodeError as error:
        raise ManifestInvalid(f"The manifest is not UTF-8 at byte {error.start}.", hint=_HINT) from None
    except RecursionError:
        raise ManifestInvalid("The manifest nests too deeply.", hint=_HINT) from None
    except ValueError:
        raise ManifestInvalid("The manifest holds a number with thousands of digits.", hint=_HINT) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise ManifestInvalid(f"The manifest gives {_shown(key)} twice in one object.", hint=_HINT)
        document[key] = value
    return document


def _no_constant(name: str) -> NoReturn:
    raise ManifestInvalid(f"The manifest holds {name}, which is not JSON.", hint=_HINT)


def _invalid(errors: Iterable[ErrorDetails]) -> ManifestInvalid:
    listed = list(errors)
    faults = list(dict.fromkeys(_fault(error) for error in listed))
    message = faults[0]
    if others := faults[1:_FAULTS_SHOWN]:
        message += " Also: " + " ".join(others)
    if len(faults) > _FAULTS_SHOWN:
        message += f" And {len(faults) - _FAULTS_SHOWN} more."
    return ManifestInvalid(message, hint=_nearest_field(listed) + _HINT)


def _nearest_field(errors: Iterable[ErrorDetails]) -> str:
    """What the first unknown field was likely meant to be. The message keeps Alga's words, so this is the hint's."""
    fields = [field.alias or name for name, field in Manifest.model_fields.items()]
    for error in errors:
        if error["type"] == "extra_forbidden":
            nearest = difflib.get_close_matches(str(error["loc"][-1])[:80], fields, n=1)
            return f"Did you mean {nearest[0]}? " if nearest else ""
    return ""


def _fault(error: ErrorDetails) -> str:
    field = ""
    for part in error["loc"]:
        field += f"[{part}]" if isinstance(part, int) else f".{part}"
    field = field.removeprefix(".")
    if error["type"] == "repeated":
        field += f"[{error['ctx']['index']}]"
    if error["type"] == "extra_forbidden":
        return f"Unknown top-level field {_shown(field)}."
    phrase = {
        "missing": "is required",
        "string_too_short": "must not be empty",
        "string_type": "must be a string",
        "list_type": "must be an array",
        "dict_type": "must be an object",
        "model_type": "must be an object",
        "literal_error": "must be " + str(error.get("ctx", {}).get("expected")),
    }.get(error["type"], error["msg"])
    return f"The manifest's {field} {phrase}."
