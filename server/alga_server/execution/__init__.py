"""Executions on a runner, and the tokens that go with them."""

from __future__ import annotations
