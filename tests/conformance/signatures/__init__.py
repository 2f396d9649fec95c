"""Images signed in many ways, and what real firmware makes of each."""
