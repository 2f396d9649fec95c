"""The page: HTML with its scripts, and the values that they read."""
