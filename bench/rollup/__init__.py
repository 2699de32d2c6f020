"""What a tick costs, and whether that depends on what is stored."""
