"""The study done right: train, prune, measure, map, cost and report, stage by stage."""
