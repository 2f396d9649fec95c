"""Instructions that the emulator leaves to its user, or that the host does for it."""
