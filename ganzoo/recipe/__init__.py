"""From settings to a run that can be trained: settings, assembly, rules across parts, run directory, resume."""
