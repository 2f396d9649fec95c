"""Runners that hold the project against recordings of real firmware (the commands of the contract)."""
