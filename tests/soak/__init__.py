"""Very many random commands in one shell: ``python -m tests.soak``, and a few thousand in the suite."""
