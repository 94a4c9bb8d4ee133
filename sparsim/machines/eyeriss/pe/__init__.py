"""The processing element of Eyeriss v2: compressed operands, zeros skipped, analytic and cycle by cycle.

Letters are those of every convolution here: G groups, M filters and C channels of one group, R x S filters
and P x Q outputs (height x width; E x F in the paper, Chen et al., JETCAS 9(2), 2019), stride U. A PE holds a
tile of M0 filters and C0 channels of one filter row and slides a window of C0 * S inputs (iacts) along it.
"""
