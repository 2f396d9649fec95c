"""Real EFI code on an emulated processor, over the same boot services that the shell and the modelled loaders use.

Nothing here is imported unless asked for; the processor is Unicorn, an optional dependency (extra ``cpu``).
"""
