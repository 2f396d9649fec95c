"""Processor, devices, TDX module and VMM wired together: what a processor stop leads to."""
