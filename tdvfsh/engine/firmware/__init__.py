"""Real firmware, run from its reset vector on a board of its own."""
