"""The console script `taximeter`, and `python -m taximeter_infra`.

The SDK is installed without the command line; then this says what to install instead of failing on an import.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line. Exit code 2 where its dependencies are not installed."""
    try:
        from taximeter_infra.cli.app import main as run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0].startswith("taximeter"):
            raise
        sys.stderr.write(
            f"error: the command line is not installed ({error.name} is missing)\n"
            "  mend: pip install 'taximeter[pipeline]', or 'taximeter[local]' for servers on this machine\n"
        )
        sys.exit(2)
    run()


if __name__ == "__main__":
    main()
