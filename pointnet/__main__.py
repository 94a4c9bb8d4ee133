"""Run the commands of `python -m pointnet`."""

from pointnet.cli import main

main()
