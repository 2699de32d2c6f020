"""The SDK's benchmark: what a metered node costs the executor's thread, and what an event costs to encode."""
