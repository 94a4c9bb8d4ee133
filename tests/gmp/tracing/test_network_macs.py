"""MACs of known networks, in small, against torch's own counter."""

from __future__ import annotations

import pytest
import torch
from support.counted import counted_macs
from support.model_libraries import library
from torch import Tensor, nn
from torch.nn import functional as F

from gmp.example_batches import batches_of
from gmp.tracing.trace import trace
from pointnet.model import PointNet2
from pointnet.network_config import PRESETS

IMAGES = torch.randn(2, 3, 32, 32)
TOKENS = torch.randint(3, 50, (2, 12))
SMALL = {
    "vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 32, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
}  # fmt: skip


class GCN(nn.Module):
    """Kipf and Welling 2017, with dense graphs as inputs."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 16, bias=False), nn.Linear(16, 4, bias=False)

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        return graph @ self.second(F.relu(graph @ self.first(x)))


class GAT(nn.Module):
    """Velickovic et al. 2018, one head, with dense graphs as inputs."""

    def __init__(self):
        super().__init__()
        self.w, self.source, self.target = (
            nn.Parameter(torch.randn(shape)) for shape in ((8, 6), (6, 1), (6, 1))
        )

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        h = x @ self.w
        scores = F.leaky_relu(h @ self.source + (h @ self.target).mT)
        return torch.where(graph > 0, scores, -torch.inf).softmax(-1).nan_to_num() @ h


class EdgeConv(nn.Module):
    """A layer of DGCNN (Wang et al. 2019): neighbours in the space of features, one convolution on edges."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(6, 16, 1, bias=False), nn.BatchNorm2d(16)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, N)
        squares = (x**2).sum(1)
        distances = squares[:, :, None] - 2 * x.mT @ x + squares[:, None]
        nearest = distances.topk(4, largest=False).indices
        points = x.mT
        neighbours = points[torch.arange(len(x))[:, None, None], nearest]
        edges = torch.cat([neighbours - points[:, :, None], points[:, :, None].expand_as(neighbours)], 3)
        return F.leaky_relu(self.norm(self.conv(edges.permute(0, 3, 1, 2)))).amax(-1)


class Unet(nn.Module):
    """One step down and up again."""

    def __init__(self):
        super().__init__()
        self.down, self.inner = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, padding=2, dilation=2)
        self.up, self.last = nn.ConvTranspose2d(8, 4, 2, 2), nn.Conv2d(7, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(F.relu(self.down(x)).relu())
        return self.last(torch.cat([x, F.relu(self.up(y))], 1))


def torchvision(make):
    return lambda: make(library("torchvision").models)


def hugging_face(model, config, batch, **options):
    def make():
        transformers = library("transformers")
        settings = getattr(transformers, config)(**options)
        return getattr(transformers, model)(settings), batch

    return make


NETWORKS = {
    "GCN": lambda: (GCN(), (torch.randn(2, 10, 8), (torch.rand(2, 10, 10) < 0.3).float())),
    "GAT": lambda: (GAT(), (torch.randn(2, 10, 8), (torch.rand(2, 10, 10) < 0.3).float())),
    "DGCNN": lambda: (EdgeConv(), torch.randn(2, 3, 12)),
    "U-Net": lambda: (Unet(), IMAGES),
    "PointNet++": lambda: (PointNet2(PRESETS["small"]), torch.rand(2, 256, 3)),
    "encoder": lambda: (
        nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2),
        torch.randn(2, 7, 16),
    ),
    "encoder and decoder, sequence first": lambda: (
        nn.Transformer(16, 2, 1, 1, 32),
        (torch.randn(7, 2, 16), torch.randn(5, 2, 16)),
    ),
    "resnet18": torchvision(lambda models: (models.resnet18(), IMAGES)),
    "mobilenet_v3_small": torchvision(lambda models: (models.mobilenet_v3_small(), IMAGES)),
    "vit": torchvision(lambda models: (models.VisionTransformer(32, 8, 2, 2, 32, 64), IMAGES)),
    "swin": torchvision(
        lambda models: (models.SwinTransformer([4, 4], 16, [2, 2], [2, 4], [4, 4]), IMAGES)
    ),
    "convnext": torchvision(
        lambda models: (
            models.ConvNeXt([models.convnext.CNBlockConfig(16, n, 1) for n in (16, None)]),
            IMAGES,
        )
    ),
    "fcn": torchvision(
        lambda models: (models.segmentation.fcn_resnet50(weights_backbone=None), IMAGES[:1])
    ),
    "deeplab": torchvision(
        lambda models: (
            models.segmentation.deeplabv3_mobilenet_v3_large(weights_backbone=None),
            IMAGES,
        )
    ),
    "r3d_18": torchvision(lambda models: (models.video.r3d_18(), torch.randn(1, 3, 2, 16, 16))),
    "BERT": hugging_face(
        "BertForSequenceClassification", "BertConfig",
        {"input_ids": TOKENS, "attention_mask": torch.ones_like(TOKENS)}, **SMALL,
    ),
    "GPT-2": hugging_face(
        "GPT2LMHeadModel", "GPT2Config", {"input_ids": TOKENS}, vocab_size=60, n_positions=32, n_embd=16,
        n_layer=1, n_head=4, bos_token_id=0, eos_token_id=1,
    ),
    "T5": hugging_face(
        "T5ForConditionalGeneration", "T5Config", {"input_ids": TOKENS, "decoder_input_ids": TOKENS[:, :7]},
        vocab_size=60, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2,
    ),
    "Llama": hugging_face(
        "LlamaForCausalLM", "LlamaConfig", {"input_ids": TOKENS}, num_key_value_heads=1, **SMALL,
    ),
    "Mixtral": hugging_face(
        "MixtralForCausalLM", "MixtralConfig", {"input_ids": TOKENS}, num_key_value_heads=1,
        num_local_experts=4, experts_implementation="eager", **SMALL,
    ),
    "Mamba": hugging_face(
        "MambaForCausalLM", "MambaConfig", {"input_ids": TOKENS}, vocab_size=60, hidden_size=16,
        num_hidden_layers=1, state_size=4, bos_token_id=0, eos_token_id=1, pad_token_id=2,
    ),
    "Whisper": hugging_face(
        "WhisperForConditionalGeneration", "WhisperConfig",
        {"input_features": torch.randn(2, 8, 32), "decoder_input_ids": TOKENS[:, :5]}, vocab_size=60,
        d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=32, decoder_ffn_dim=32, num_mel_bins=8, max_source_positions=16,
        max_target_positions=16, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True:UserWarning")
@pytest.mark.parametrize("name", NETWORKS)
def test_all_macs_are_of_layers(name):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model, example = NETWORKS[name]()
    (batch,) = batches_of(model, example)
    found = trace(model, [batch])
    assert found.samples == (1 if name in ("fcn", "r3d_18") else 2)
    assert round(found.macs * found.samples) == counted_macs(model, batch)
    assert found.coverage.uncovered_macs == 0
    assert found.coverage.unknown == ()
    assert len({row.name for row in found.layers}) == len(found.layers)
