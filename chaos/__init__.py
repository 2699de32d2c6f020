"""The proof: faults are injected into the real pieces, and what was accepted is compared with what is there."""
