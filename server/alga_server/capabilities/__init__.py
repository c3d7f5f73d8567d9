"""What the capabilities of extensions work on, schedules aside: stored records, and data that a developer supplies."""

from __future__ import annotations
