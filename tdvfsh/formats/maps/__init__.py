"""Memory maps as firmware, loaders and kernels print them."""
