"""Small models in the usual style: recurrent, graph, point cloud, video, attention and mixture networks."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TOKENS, WIDTH = 100, 64


class Classifier(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))


class Text(nn.Module):
    """A recurrent classifier."""

    def __init__(self, kind: type[nn.RNNBase], layers: int, *, both: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, 32)
        self.recurrent = kind(32, WIDTH, layers, batch_first=True, bidirectional=both)
        self.head = nn.Linear(WIDTH * (2 if both else 1), 10)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.recurrent(self.embedding(tokens))[0][:, -1])


class Translator(nn.Module):
    """A decoder of recurrent cells that attends to an encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, WIDTH)
        self.encoder = nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.cell = nn.GRUCell(2 * WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, TOKENS)

    def forward(self, tokens: Tensor) -> Tensor:
        inputs = self.embedding(tokens)
        seen, state = self.encoder(inputs)
        hidden, found = state[0], []
        for step in range(4):
            shares = torch.softmax(torch.bmm(seen, hidden[:, :, None])[..., 0], dim=1)
            context = torch.bmm(shares[:, None], seen)[:, 0]
            hidden = self.cell(torch.cat([inputs[:, step], context], dim=1), hidden)
            found.append(self.head(hidden))
        return torch.stack(found, dim=1)


class TemporalConvolutions(nn.Module):
    """Causal dilated convolutions with residuals."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 16, 3, padding=1)
        self.blocks = nn.ModuleList([nn.Conv1d(16, 16, 3, dilation=2**i) for i in range(4)])
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for i, block in enumerate(self.blocks):
            x = x + F.relu(block(F.pad(x, (2 ** (i + 1), 0))))
        return self.head(x.mean(dim=2))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)])
        self.middle = nn.Conv2d(16, 32, 3, padding=2, dilation=2)
        self.up = nn.ModuleList(
            [nn.ConvTranspose2d(32, 16, 2, stride=2), nn.ConvTranspose2d(16, 8, 2, stride=2)]
        )
        self.merge = nn.ModuleList([nn.Conv2d(32, 16, 3, padding=1), nn.Conv2d(16, 8, 3, padding=1)])
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for layer in self.down:
            kept.append(F.relu(layer(x)))
            x = F.max_pool2d(kept[-1], 2)
        x = F.relu(self.middle(x))
        for up, merge in zip(self.up, self.merge, strict=True):
            x = F.relu(merge(torch.cat([up(x), kept.pop()], dim=1)))
        return self.head(x)


class Autoencoder(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Conv1d(8, 16, 4, stride=2, padding=1), nn.ReLU(), nn.Conv1d(16, 32, 4, stride=2, padding=1),
            nn.ReLU(), nn.ConvTranspose1d(32, 16, 4, stride=2, padding=1), nn.ReLU(),
            nn.ConvTranspose1d(16, 8, 4, stride=2, padding=1, groups=2),
        )  # fmt: skip


class VideoNet(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Conv3d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv3d(8, 16, (1, 3, 3), stride=(1, 2, 2)),
            nn.ReLU(), nn.Conv3d(16, 16, (3, 1, 1)), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(),
            nn.Linear(16, 5),
        )  # fmt: skip


class Attention(nn.Module):
    """Self-attention by one matrix of parameters for queries, keys and values."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Parameter(torch.randn(WIDTH, 3 * WIDTH) / 8)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        heads = [part.unflatten(2, (4, -1)).transpose(1, 2) for part in (x @ self.project).chunk(3, dim=2)]
        return self.out(F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))


class Einsum(nn.Module):
    """Attention written with einsum, with three-dimensional parameters as weights."""

    def __init__(self) -> None:
        super().__init__()
        self.queries, self.keys, self.values = (nn.Parameter(torch.randn(4, WIDTH, 16) / 8) for _ in range(3))
        self.out = nn.Parameter(torch.randn(4, 16, WIDTH) / 8)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (torch.einsum("btw,hwd->bhtd", x, w) for w in (self.queries, self.keys, self.values))
        shares = torch.softmax(torch.einsum("bhtd,bhsd->bhts", q, k) / 4, dim=-1)
        return torch.einsum("bhtd,hdw->btw", torch.einsum("bhts,bhsd->bhtd", shares, v), self.out)


class Experts(nn.Module):
    """Each token takes one of four experts, whose weights are one parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.route = nn.Linear(WIDTH, 4)
        self.first = nn.Parameter(torch.randn(4, 128, WIDTH) / 8)
        self.second = nn.Parameter(torch.randn(4, WIDTH, 128) / 8)

    def forward(self, x: Tensor) -> Tensor:
        rows, chosen = x.flatten(0, 1), self.route(x).flatten(0, 1).argmax(dim=1)
        found = torch.zeros_like(rows)
        for expert in range(4):
            mine = (chosen == expert).nonzero()[:, 0]
            if len(mine):
                hidden = F.relu(F.linear(rows[mine], self.first[expert]))
                found = found.index_add(0, mine, F.linear(hidden, self.second[expert]))
        return found.view_as(x)


class Siamese(nn.Module):
    """A network that applies the same branch to two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 16))
        self.head = nn.Bilinear(16, 16, 4)

    def forward(self, pairs: Tensor) -> Tensor:
        return self.head(self.branch(pairs[:, 0]), self.branch(pairs[:, 1]))


class DlrmLike(nn.Module):
    """Bags of embeddings, whose pairwise products are features."""

    def __init__(self) -> None:
        super().__init__()
        self.bags = nn.ModuleList([nn.EmbeddingBag(TOKENS, 16) for _ in range(4)])
        self.top = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, tokens: Tensor) -> Tensor:
        found = torch.stack([bag(tokens) for bag in self.bags], dim=1)
        return self.top((found @ found.transpose(1, 2)).flatten(1))


class Graph(nn.Module):
    """Layers of PyG on a fixed graph, whose nodes are the samples."""

    edges: Tensor

    def __init__(self, layers: Sequence[nn.Module], nodes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        ring = torch.arange(nodes)
        self.register_buffer(
            "edges", torch.stack([ring.repeat(3), torch.cat([ring.roll(i) for i in (1, 2, 5)])])
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = F.relu(layer(x, self.edges))
        return x


class EdgeConvNet(nn.Module):
    """DGCNN: convolutions over the differences to the nearest points."""

    def __init__(self, neighbours: int = 8) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.layers = nn.ModuleList([nn.Conv2d(6, 16, 1), nn.Conv2d(32, 32, 1)])
        self.head = nn.Linear(48, 10)

    def forward(self, points: Tensor) -> Tensor:
        x, found = points.transpose(1, 2), []
        for layer in self.layers:
            near = (
                torch.cdist(x.transpose(1, 2), x.transpose(1, 2)).topk(self.neighbours, largest=False).indices
            )
            others = torch.stack([one[:, at] for one, at in zip(x, near, strict=True)])
            here = x[..., None].expand_as(others)
            x = F.relu(layer(torch.cat([here, others - here], dim=1))).amax(dim=3)
            found.append(x)
        return self.head(torch.cat(found, dim=1).amax(dim=2))


class PointTransformer(nn.Module):
    """Vector attention over all points, with a network of positions."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 32)
        self.queries, self.keys, self.values = (nn.Linear(32, 32) for _ in range(3))
        self.positions = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 32))
        self.shares = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32))
        self.head = nn.Linear(32, 10)

    def forward(self, points: Tensor) -> Tensor:
        x = self.embed(points)
        where = self.positions(points[:, :, None] - points[:, None])
        shares = self.shares(self.queries(x)[:, :, None] - self.keys(x)[:, None] + where).softmax(dim=2)
        return self.head((shares * (self.values(x)[:, None] + where)).sum(dim=2).amax(dim=1))
