"""Bridges: what agent frameworks say their models used becomes use of the current node. One module per framework.

Nothing is imported here. Each module loads its own framework and no other, and claims what it saw: a call that a tap on
the transport has read from the provider's own bytes counts once, as the tap saw it.
"""
