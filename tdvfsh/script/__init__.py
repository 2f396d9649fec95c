"""The shell language: lexing, expansion, control flow, redirection. It knows no command."""
