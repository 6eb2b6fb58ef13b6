"""``python -m molorec`` is the command line."""

from molorec.cli import main

main()
