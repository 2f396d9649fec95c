"""Screen, keyboard and serial line of a run on the host's terminal."""
