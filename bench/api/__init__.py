"""How long the API takes to answer what a run cost, however much is stored."""
