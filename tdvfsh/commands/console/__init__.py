"""Commands on variables, time, the screen and the shell."""
