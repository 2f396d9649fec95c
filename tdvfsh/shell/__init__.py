"""The shell itself: state, lines, undo, its machine and its drives. It knows no command."""
