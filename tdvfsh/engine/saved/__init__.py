"""Machines that are saved while they run: their state as plain values, and the file that holds it."""
