"""The subcommands of the command line, one module each: they read arguments, call, and print."""
