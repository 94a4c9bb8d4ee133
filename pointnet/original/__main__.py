from pointnet.original.reproduce import main
from sparsim.console import run

run(main, "python -m pointnet.original")
