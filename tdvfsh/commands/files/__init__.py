"""Commands on files and drives."""
