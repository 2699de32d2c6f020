"""The sink: Kafka to ClickHouse, exactly once, without decoding.

Where to look: `loop` is the cycle (poll, offer, hold, flush, commit), `partition` what it knows of one partition,
`intent` what it tells Kafka before an insert, `block` and `columns` how messages become one INSERT, `store` what
happens to a batch, `sift` how a bad record is found, `dead_letters` where it goes.
"""
