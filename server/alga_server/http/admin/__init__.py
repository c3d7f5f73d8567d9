"""The admin API: extensions, installs, schedules, runs, maintenance."""

from __future__ import annotations
