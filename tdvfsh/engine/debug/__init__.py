"""Debugging of guest code: stops, stepping, gdb's remote protocol, and commands for a person at a stop.

Nothing of this is there while no debugger is attached: the processor has one attribute for it, which is None.
"""
