"""Every figure that the project claims about speed and size, measured beside its peer: ``python -m tests.bench``."""
