"""A small but real DAG executor, and a world on loopback for it to work in.

Nothing in here knows of Taximeter except `metering.py`: that one file is what instrumenting an executor takes.
"""
