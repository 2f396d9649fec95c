"""Virtio devices on PCI: one transport, and what is behind it."""
