"""What a boot's log or its model says of known faults of firmware, kernels and loaders."""
