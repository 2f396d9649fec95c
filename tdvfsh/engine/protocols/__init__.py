"""Protocols that firmware offers to guest code."""
