"""The file system device: a folder of the host, shared with the guest."""
