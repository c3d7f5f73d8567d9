"""Write the generated files of the SDKs."""

from __future__ import annotations

from . import generated

for path, text in generated().items():
    path.write_text(text, encoding="utf-8")
