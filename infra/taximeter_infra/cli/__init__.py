"""The command line: one module per group of commands; each registers itself on the Typer app."""
