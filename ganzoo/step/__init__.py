"""The training step: one round, one update, and everything that changes during training."""
