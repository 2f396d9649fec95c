"""Whole runs: a program, a boot, an operating system, a verification."""
