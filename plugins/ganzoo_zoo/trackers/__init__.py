"""Trackers: observers of a run."""
