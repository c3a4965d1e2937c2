"""The judge: a small convolutional classifier whose 64 features carry the Frechet distance."""

from torch import Tensor, nn
from torch.nn import functional as F


class Judge(nn.Module):
    """Images of [B, channels, side, side] in -1..1 -> logits of ``classes``."""

    def __init__(self, channels: int, classes: int, width: int = 24) -> None:
        super().__init__()
        w = (channels, width, 2 * width, 64, 64)
        steps = (2, 2, 1, 1)
        self.convs = nn.ModuleList(nn.Conv2d(w[i], w[i + 1], 3, steps[i], 1) for i in range(4))
        self.norms = nn.ModuleList(nn.GroupNorm(8, outside) for outside in w[1:])
        self.head = nn.Linear(64, classes)

    def features(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, 64]: averages over the picture."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.silu(norm(conv(x)))
        return x.mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, H, W] -> [B, classes]."""
        return self.head(self.features(x))
