"""Event logs of the Trusted Computing Group."""
