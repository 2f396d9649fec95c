"""Many boots: sweeps over grids of scenarios, and advice on how much to accept."""
