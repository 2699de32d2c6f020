"""Benchmarks: each compares things side by side in one run, prints a table and writes `bench/out/NAME.json`."""
