"""Boots of real files in fresh machines: one, many side by side, ladders, plots."""
