"""Decoders of bodies that come in pieces: bytes as they arrive become whole JSON documents that may bear use.

Each keeps what is needed to finish the document at hand, bounded by `LONGEST`, and nothing else. `feed` and `end` give
the documents that became whole. What cannot be read is tallied and left out; none of them raises.
"""
