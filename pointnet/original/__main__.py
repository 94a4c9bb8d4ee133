from pointnet.original.reproduce import main
from sparsim.report.console import run

run(main, "python -m pointnet.original")
