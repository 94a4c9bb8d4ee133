"""Weights that share values: few distinct values per layer, which a codebook holds.

weight_sharing     WeightSharing: clusters of weights, fine-tuned together
linear_kmeans      clusters of numbers
stored_sizes       size_report: bytes with codebook, index and weight bits, with and without Huffman coding
"""

from gmp.sharing.stored_sizes import SizeReport, StoredSize
from gmp.sharing.weight_sharing import WeightSharing

__all__ = ["SizeReport", "StoredSize", "WeightSharing"]
