"""What one would write instead of the runner: small HTTP services around a guest, each a program of some forty lines.

Each takes the same requests, gives its guest the same bytes, and must answer the same. None of them writes log lines,
ends what runs too long, or has a bound on anything.
"""

from __future__ import annotations
