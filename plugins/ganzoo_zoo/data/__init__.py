"""The data that ship with ganzoo."""
