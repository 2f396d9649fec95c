"""Volumes and disks behind the file and block protocols."""
