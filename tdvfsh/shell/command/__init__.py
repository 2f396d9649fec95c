"""What a command is: registry, typed signature, help text, completion."""
