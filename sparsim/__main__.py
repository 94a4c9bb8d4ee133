"""`python -m sparsim` is the command `sparsim`."""

from sparsim.cli.main import main

if __name__ == "__main__":
    main()
