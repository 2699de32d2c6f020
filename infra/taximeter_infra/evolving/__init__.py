"""The next version of the event: what is there is looked at, judged, and put in the safe order."""
