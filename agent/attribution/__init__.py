"""Whose work it was: from processes on a device to runs, and from a device's delta to one share per run."""
