"""Say in a sentence why this Python cannot run Alga Runner, if it cannot."""

from __future__ import annotations

import sys

if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    here = "{}.{}".format(*sys.version_info[:2])
    sys.exit(
        f"Alga Runner needs Python 3.11, 3.12 or 3.13; this one is {here}.\n"
        "Name another, for example: make setup PYTHON=python3.12"
    )
