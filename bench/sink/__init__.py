"""The sink against the engine's own limit and against its peers: `python -m bench.sink`."""
