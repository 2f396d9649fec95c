"""Views of boots: one, compared, ladders, regions, an operating system's run."""
