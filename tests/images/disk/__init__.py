"""Tests of the disk that is made."""
