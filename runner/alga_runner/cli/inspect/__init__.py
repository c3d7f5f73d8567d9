"""``alga-runner inspect``."""

from __future__ import annotations
