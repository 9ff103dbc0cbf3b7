"""Models: architectures with a name, models by name, and what a model is made of."""

from __future__ import annotations

from . import rewrites
from .alexnet import AlexNet, AlexNet2012, ZFNet
from .all_convolutional import AllConvolutional
from .cifar_resnet import CifarBlock, CifarResNet, PadShortcut
from .googlenet import GoogLeNet, GoogLeNetOutputs, Inception, auxiliary_loss
from .inspection import (
    ReceptiveField,
    ReceptiveFields,
    Row,
    Summary,
    TrainingMemory,
    receptive_field,
    receptive_field_box,
    summary,
    training_memory,
)
from .lenet import LeNet5
from .network_in_network import NetworkInNetwork
from .pattern import PatternNet, from_pattern, to_pattern
from .preact_resnet import PreActBlock, PreActBottleneck, PreActResNet
from .registry import architecture, build, model_names, model_options
from .resnet import BasicBlock, Bottleneck, ResNet
from .sliding import CropComparison, ScoreMap, SlidingScores, sliding_scores
from .small import CifarQuick, ConvNetJS, ConvNetJSCifar, DigitsNet
from .vgg import VGG

__all__ = [
    "VGG",
    "AlexNet",
    "AlexNet2012",
    "AllConvolutional",
    "BasicBlock",
    "Bottleneck",
    "CifarBlock",
    "CifarQuick",
    "CifarResNet",
    "ConvNetJS",
    "ConvNetJSCifar",
    "CropComparison",
    "DigitsNet",
    "GoogLeNet",
    "GoogLeNetOutputs",
    "Inception",
    "LeNet5",
    "NetworkInNetwork",
    "PadShortcut",
    "PatternNet",
    "PreActBlock",
    "PreActBottleneck",
    "PreActResNet",
    "ReceptiveField",
    "ReceptiveFields",
    "ResNet",
    "Row",
    "ScoreMap",
    "SlidingScores",
    "Summary",
    "TrainingMemory",
    "ZFNet",
    "architecture",
    "auxiliary_loss",
    "build",
    "from_pattern",
    "model_names",
    "model_options",
    "receptive_field",
    "receptive_field_box",
    "rewrites",
    "sliding_scores",
    "summary",
    "to_pattern",
    "training_memory",
]
