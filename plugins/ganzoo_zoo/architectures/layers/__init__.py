"""Layers that the architectures share, one file a family."""
