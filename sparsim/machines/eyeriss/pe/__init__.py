"""The processing element of Eyeriss v2: compressed operands, zeros skipped, analytic and cycle by cycle.

Letters are those of every convolution here: G groups, M filters and C channels of one group, R x S filters
and P x Q outputs (height x width; E x F in the paper, Chen et al., JETCAS 9(2), 2019), stride U. A PE holds a
tile of M0 filters and C0 channels of one filter row and slides a window of C0 * S inputs (iacts) along it.

    spec          SparsePE, the record           eyeriss   those of Eyeriss v1, v1.5 and v2
    csc           compressed masks               geometry  Conv, Tiling, Accesses
    array         run_array: the twin            estimate  the analytic model
    compare       both, with the error           capacity  what fits a PE
    closed_forms  cycles known without either
"""
