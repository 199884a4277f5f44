"""The engines that ship with ganzoo."""
