"""The loop around the step: when to record, sample, evaluate, save and stop."""
