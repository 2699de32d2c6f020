"""The composition root: the command line, the local stack and the migrations. Nothing imports this package."""
