"""Secure Boot: which images firmware refuses, by the keys in its variables."""
