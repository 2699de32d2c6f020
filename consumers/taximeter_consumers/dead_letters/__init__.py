"""Dead letters after the sink: listed, read, sent back once what was wrong is mended, or dropped with a word on why."""
