"""The optimizers that ship with ganzoo."""
