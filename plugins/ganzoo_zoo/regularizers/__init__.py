"""The regularizers that ship with ganzoo."""
