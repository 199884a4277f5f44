"""The schedules that ship with ganzoo."""
