"""python -m gmp"""

from gmp.trace_network_command import main

main()
