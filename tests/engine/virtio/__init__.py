"""Tests of the virtio devices."""
