"""The network device, and a user-mode network that reaches the host's loopback only."""
