"""One router for each resource. `app.py` lists them."""
