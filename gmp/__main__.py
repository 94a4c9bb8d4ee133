"""python -m gmp"""

from gmp.cli import main

main()
