"""What a run keeps on disk: checkpoints, records, pictures and the lock."""
