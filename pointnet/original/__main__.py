from pointnet.original.reproduce import main

main()
