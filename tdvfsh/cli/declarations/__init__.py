"""Arguments of the subcommands, declared to argparse: those of one are declared when it is asked for."""
