"""Fuzzing of every parser: ``python -m tests.fuzz``, and a short deterministic run in the suite."""
