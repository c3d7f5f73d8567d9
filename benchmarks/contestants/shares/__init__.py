"""A tenant at its bounds, and another one that asks meanwhile: each a process of its own."""
