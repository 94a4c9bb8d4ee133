"""Point clouds with labels: a procedural set, readers of the usual layouts, packs and augmentation."""

from pointnet.data.augment import Augmentation, augment
from pointnet.data.cloud_packs import write_pack
from pointnet.data.clouds import Clouds, Dataset
from pointnet.data.load_clouds import load_data
from pointnet.data.shapes import shapes

__all__ = ["Augmentation", "Clouds", "Dataset", "augment", "load_data", "shapes", "write_pack"]
