"""The emulated processor: Unicorn, its state, its memory, exceptions and decoding."""
