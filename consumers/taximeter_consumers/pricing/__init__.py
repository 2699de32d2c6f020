"""What a use costs: the price book, the names of its models, and one rule in Python and in SQL.

Where to look: `units` what has a price, `rate` and `book` the rows, `packaged` and `sync` where they come from,
`series` which price holds when, `price` and `charged_events.sql` what an event costs, `cards` the compiled book in
ClickHouse, `aliases` and `match` what events call a model, `changes` what a new price touches, `estimate` a call to
come, `knowledge` whether a new row may touch the past, `unpriced` what lacks a price, `check` what is odd in the book.
"""
