"""The metrics that ship with ganzoo."""
