"""Commands on the trust domain."""
