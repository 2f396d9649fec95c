"""What the TDX module and the VMM do for a running guest."""
