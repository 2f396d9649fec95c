"""Tests of the diagnosis of boots."""
