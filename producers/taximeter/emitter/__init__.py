"""The emitter: a bounded queue, one background thread that encodes and sends, and the transports it sends by."""
