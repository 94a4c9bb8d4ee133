"""Slow, obvious twins of the kernels, in plain Python, written from the specification alone.

They take the records, not the packs: levels are numbered from the innermost storage, s = 0, and dataspaces
in the shape's order. Fit for nests of a few hundred points.
"""
