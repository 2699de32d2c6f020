"""Reading a topic again: a range of it to a file, a stream or another topic, or its end as it grows."""
