"""The HTTP API: what product teams show and operators trust, read from the rollups and the events.

Nothing is imported here, so that keys can be managed without a web framework. `app.create_app` makes the application
of a `Services`; `server.serve` runs it.
"""
