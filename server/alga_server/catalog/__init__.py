"""Extensions and their versions, installs, and the bundles of both."""

from __future__ import annotations
