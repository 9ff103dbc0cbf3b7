"""Data sets of images, transforms of whole batches, and the loader that feeds a training run."""

from __future__ import annotations

from .cifar import CIFAR10, read_cifar10
from .color import ColorJitter, ColorPCA, Cutout, SubtractMeanImage
from .dataset import ArrayDataset, Dataset, stratified_split
from .digits import Digits
from .image_folder import ImageFolder
from .loader import DataLoader
from .mapped import MappedDataset, open_npy
from .mnist import MNIST, FashionMNIST, read_idx
from .shards import Shards, write_shards
from .transforms import (
    CenterCrop,
    Compose,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    RandomShift,
    RandomVerticalFlip,
    Transform,
)
from .views import FiveCrop, Mirrored, TenCrop, Views

__all__ = [
    "CIFAR10",
    "MNIST",
    "ArrayDataset",
    "CenterCrop",
    "ColorJitter",
    "ColorPCA",
    "Compose",
    "Cutout",
    "DataLoader",
    "Dataset",
    "Digits",
    "FashionMNIST",
    "FiveCrop",
    "ImageFolder",
    "MappedDataset",
    "Mirrored",
    "Normalize",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomShift",
    "RandomVerticalFlip",
    "Shards",
    "SubtractMeanImage",
    "TenCrop",
    "Transform",
    "Views",
    "open_npy",
    "read_cifar10",
    "read_idx",
    "stratified_split",
    "write_shards",
]
