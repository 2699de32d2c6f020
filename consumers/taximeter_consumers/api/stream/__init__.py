"""`GET /v1/stream`: usage and quotas as they change, by server-sent events.

One watcher for each thing that somebody listens to looks at most once a second, however many listen. What it saw stands
on a board; a stream sends what its reader has not had yet, the newest of each kind, so nothing piles up for slow ones.
A crash loses nothing: whoever connects again is told everything at once. A stop ends all streams at once.
"""
