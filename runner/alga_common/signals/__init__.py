"""Signals of a process: what wakes its event loop, and what Ctrl-C does to a command."""
