"""The losses that ship with ganzoo."""
