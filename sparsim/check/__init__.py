"""Comparison of recorded stats files of Timeloop with what the model says now."""
