"""Networks of many kinds, all small enough to be tested, with random weights and inputs of a few samples.

`NETWORKS` maps names to functions that make a model and its input, a tensor whose first axis holds samples.
"""

import importlib
import itertools
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import torch
from network_zoo_models import (
    Attention,
    Autoencoder,
    Classifier,
    DlrmLike,
    EdgeConvNet,
    Einsum,
    Experts,
    Graph,
    PointTransformer,
    Siamese,
    TemporalConvolutions,
    Text,
    Translator,
    UNet,
    VideoNet,
)  # fmt: skip
from torch import Tensor, nn

Made = tuple[nn.Module, Tensor]
NETWORKS: dict[str, Callable[[], Made]] = {}
TOKENS, WIDTH = 100, 64


@cache
def load_torchvision() -> torch.library.Library:
    """Declare operators of torchvision if its library was built for another version of torch.

    The models do not need the operators themselves. The declarations exist as long as the returned object,
    which the cache keeps.
    """
    library = torch.library.Library("torchvision", "FRAGMENT")
    with suppress(RuntimeError):  # the operators exist already
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


def image(size: int = 64, samples: int = 2) -> Tensor:
    return torch.randn(samples, 3, size, size)


def _torchvision(name: str, size: int = 64, module: str = "models", **options: Any) -> Made:
    models = importlib.import_module(f"torchvision.{module}")
    return getattr(models, name)(weights=None, **options), image(size)


def _segmentation(name: str) -> Made:
    model, x = _torchvision(name, 64, "models.segmentation", weights_backbone=None, num_classes=5)
    return Attribute(model, "out"), x


class Attribute(nn.Module):
    """A model that returns one tensor of the outputs of another model."""

    def __init__(self, model: nn.Module, name: str) -> None:
        super().__init__()
        self.model, self.name = model, name

    def forward(self, x: Tensor) -> Tensor:
        found = self.model(x)
        return found[self.name] if isinstance(found, dict) else getattr(found, self.name)


def _timm(name: str, size: int = 64, **options: Any) -> Made:
    return importlib.import_module("timm").create_model(
        name, pretrained=False, num_classes=10, **options
    ), image(size)


def _transformer(name: str, config: str, output: str = "last_hidden_state", **options: Any) -> Made:
    library = importlib.import_module("transformers")
    model = getattr(library, name)(getattr(library, config)(**options))
    return Attribute(model, output), torch.randint(TOKENS, (2, 16))


def _bert(prefix: str, model: str = "Model", **options: Any) -> Made:
    sizes = {
        "vocab_size": TOKENS, "hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 128, "max_position_embeddings": 64,
    }  # fmt: skip
    return _transformer(prefix + model, prefix + "Config", **{**sizes, **options})


def _vision_transformer(prefix: str, size: int, **options: Any) -> Made:
    model, _ = _transformer(f"{prefix}Model", f"{prefix}Config", **options)
    return model, image(size)


def _graph(name: str, *sizes: int) -> Made:
    layers = importlib.import_module("torch_geometric.nn")
    kind = getattr(layers, name)
    return Graph([kind(a, b) for a, b in itertools.pairwise(sizes)], nodes=24), torch.randn(24, sizes[0])


def _pointnet() -> Made:
    from pointnet.model import PointNet2
    from pointnet.network_config import preset

    return PointNet2(preset("small")), torch.rand(2, preset("small").points, 3)


def _add(names: str, make: Callable[..., Made], **options: Any) -> None:
    for name in names.split():
        NETWORKS[name.partition("=")[0]] = lambda name=name: make(name.rpartition("=")[2], **options)  # type: ignore[misc]


_add("resnet18 squeezenet1_1 mobilenet_v3_small shufflenet_v2_x0_5", _torchvision)
_add("lraspp_mobilenet_v3_large", _segmentation)
_add("vit_tiny_patch16_224 deit_tiny_patch16_224", _timm, img_size=64, depth=3)
_add("mixer_s32_224 gmlp_ti16_224 resmlp_12_224", _timm, img_size=64)
_add("pvt_v2_b0 convnext_atto lcnet_050 tinynet_e", _timm)
_add("xcit_nano_12_p16_224", _timm, img_size=64, depth=3)
_add("test_vit test_mambaout test_convnext test_nfnet test_byobnet", _timm)
_add("test_coatnet test_maxvit", _timm, size=160)
_add("Bert Roberta Electra Albert", _bert)
NETWORKS |= {
    "VisionTransformer": lambda: (
        importlib.import_module("torchvision.models").VisionTransformer(
            image_size=32, patch_size=8, num_layers=2, num_heads=4, hidden_dim=WIDTH, mlp_dim=128
        ),
        image(32),
    ),
    "SwinTransformer": lambda: (
        importlib.import_module("torchvision.models").SwinTransformer(
            [4, 4], 24, [2, 2], [2, 4], [4, 4], num_classes=10
        ),
        image(32),
    ),
    "DistilBert": lambda: _transformer(
        "DistilBertModel", "DistilBertConfig", vocab_size=TOKENS, dim=WIDTH, n_layers=2, n_heads=4,
        hidden_dim=128,
    ),
    "GPT2": lambda: _transformer(
        "GPT2LMHeadModel", "GPT2Config", "logits", vocab_size=TOKENS, n_positions=32, n_embd=WIDTH, n_layer=2,
        n_head=4,
    ),
    "OPT": lambda: _transformer(
        "OPTModel", "OPTConfig", vocab_size=TOKENS, hidden_size=WIDTH, num_hidden_layers=2, ffn_dim=128,
        num_attention_heads=4, max_position_embeddings=64, word_embed_proj_dim=WIDTH,
    ),
    "Llama": lambda: _bert("Llama", num_key_value_heads=2),
    "Mixtral": lambda: _bert("Mixtral", num_key_value_heads=2, num_local_experts=4),
    "Mamba": lambda: _transformer(
        "MambaModel", "MambaConfig", vocab_size=TOKENS, hidden_size=WIDTH, num_hidden_layers=2, state_size=8
    ),
    "ViT": lambda: _vision_transformer(
        "ViT", 64, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        image_size=64,
    ),
    "T5Encoder": lambda: _transformer(
        "T5EncoderModel", "T5Config", vocab_size=TOKENS, d_model=WIDTH, d_ff=128, num_layers=2, num_heads=4,
        d_kv=16,
    ),
    "Wav2Vec2": lambda: (
        _transformer(
            "Wav2Vec2Model", "Wav2Vec2Config", hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=4,
            intermediate_size=128, conv_dim=(32,) * 7, num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=4, mask_time_prob=0.0,
        )[0],
        torch.randn(2, 2000),
    ),
    "GCN": lambda: _graph("GCNConv", 16, 32, 8),
    "GAT": lambda: _graph("GATConv", 16, 32, 8),
    "GraphSAGE": lambda: _graph("SAGEConv", 16, 32, 8),
    "DGCNN": lambda: (EdgeConvNet(), torch.rand(2, 64, 3)),
    "PointTransformer": lambda: (PointTransformer(), torch.rand(2, 32, 3)),
    "PointNet2": _pointnet,
    "LSTM": lambda: (Text(nn.LSTM, layers=2, both=True), torch.randint(TOKENS, (2, 12))),
    "GRU": lambda: (Text(nn.GRU, layers=1, both=False), torch.randint(TOKENS, (2, 12))),
    "GRU with attention": lambda: (Translator(), torch.randint(TOKENS, (2, 10))),
    "TCN, dilated": lambda: (TemporalConvolutions(), torch.randn(2, 4, 64)),
    "U-Net": lambda: (UNet(), image(32)),
    "transposed autoencoder": lambda: (Autoencoder(), torch.randn(2, 8, 64)),
    "nn.TransformerEncoder": lambda: (
        nn.TransformerEncoder(nn.TransformerEncoderLayer(WIDTH, 4, 128, batch_first=True), 2),
        torch.randn(2, 16, WIDTH),
    ),
    "attention by hand": lambda: (Attention(), torch.randn(2, 16, WIDTH)),
    "einsum": lambda: (Einsum(), torch.randn(2, 16, WIDTH)),
    "mixture of experts": lambda: (Experts(), torch.randn(2, 16, WIDTH)),
    "3-D convolutions": lambda: (VideoNet(), torch.randn(2, 3, 6, 16, 16)),
    "shared weights": lambda: (Siamese(), torch.randn(2, 2, 32)),
    "embedding bags": lambda: (DlrmLike(), torch.randint(TOKENS, (2, 8))),
    "weight norm": lambda: (
        nn.Sequential(
            nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 16, 3)), nn.ReLU(), nn.Flatten(),
            nn.utils.parametrizations.weight_norm(nn.Linear(16 * 14 * 14, 10)),
        ),
        image(16),
    ),
    "MLP": lambda: (Classifier(), torch.randn(2, 64)),
}  # fmt: skip
