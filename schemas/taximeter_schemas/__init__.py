"""The vocabulary of every part of Taximeter: events, wire format, settings, errors. Imports nothing of ours."""
