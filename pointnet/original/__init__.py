"""The original PointNet++ study: its 48 published runs as records, and our numbers beside them."""
