"""What one does with trained runs: export networks, walk through the latent space, find the latent of an image."""
