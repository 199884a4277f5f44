"""Write packages and recipes for a user to start from."""
