"""Tests of the file system device."""
