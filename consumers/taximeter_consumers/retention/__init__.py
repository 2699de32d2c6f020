"""How long raw events and their texts are kept, and what stays right when they are gone.

Where to look: `horizon` what is frozen (ticks, audits and re-ratings ask it), `delete` the deletion of raw events,
`texts` the TTL of free texts. Rollups, charges and invoices have no retention: they are the money.
"""
