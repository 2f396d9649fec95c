"""Tests of the network device."""
