"""The demo: the whole pipeline on real servers, with an example executor, and the checks that hold it to its word."""
