"""What runs in the children: the runner and its peers, each doing the same work."""

from __future__ import annotations
