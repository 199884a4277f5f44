"""The standard parts that ship with ganzoo."""
