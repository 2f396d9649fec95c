"""Volumes and disks of the file and block protocols."""
