"""The study of PointNet++ repeated in full: train, prune, measure, map, cost and report, stage by stage."""
