"""What nodes do: one module for each node type, each a callable that takes a NodeCall and returns a NodeResult."""
