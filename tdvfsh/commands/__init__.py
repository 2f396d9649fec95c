"""The shell and its commands. Families are imported when one of their commands is first used."""
