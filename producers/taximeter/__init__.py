"""The SDK that executors import."""
