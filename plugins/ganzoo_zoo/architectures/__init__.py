"""The architectures that ship with ganzoo."""
