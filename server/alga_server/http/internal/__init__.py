"""Host calls of running executions."""

from __future__ import annotations
