"""Reading guest code: symbols, call stacks, placements, decompressors."""
