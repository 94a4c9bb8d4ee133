"""Run the commands of `python -m gmp`."""

from gmp.commands import main

main()
