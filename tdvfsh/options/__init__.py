"""The options of a TD, each declared once: for the command line, the prompt, the library, and sweeps.

Nothing here imports anything heavy: the shell reads its command line with this table before it knows whether there will
be a machine at all.
"""
