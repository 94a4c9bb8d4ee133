"""python -m pointnet"""

from pointnet.cli import main

main()
