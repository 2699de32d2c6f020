"""`python -m taximeter_infra` is `taximeter`."""

from taximeter_infra.cli.app import main

main()
