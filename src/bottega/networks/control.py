"""A sketch steers a trained velocity network: a copy of its way down that also sees the sketch (ControlNet, Zhang 2023)."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bottega.networks.unet import UNet

EDGE = 0.5  # of the difference between neighbouring pixels in -1..1, from which on there is a line


def outline(images: Tensor) -> Tensor:
    """Images [B, C, H, W] in -1..1 -> their lines [B, 1, H, W], 0 or 1: where the brightness changes at once."""
    grey = F.pad(images.mean(1, keepdim=True), (0, 1, 0, 1), value=-1.0)
    right, below = grey[..., :-1, 1:], grey[..., 1:, :-1]
    here = grey[..., :-1, :-1]
    return ((right - here).square() + (below - here).square() > EDGE**2).float()


class Controlled(nn.Module):
    """The base, frozen; and the branch, whose outputs are added through convolutions that begin at zero."""

    def __init__(self, base: UNet) -> None:
        super().__init__()
        self.base, self.branch = base, copy.deepcopy(base)
        for part in ("word", "time", "grow", "up", "norm", "out"):
            delattr(self.branch, part)  # of the way down only
        w, c = base.width, base.into.in_channels
        self.see = nn.Conv2d(c + base.patch**2, c, 3, padding=1)
        self.joins = nn.ModuleList([nn.Conv2d(size, size, 1) for size in (w, 2 * w, 4 * w)])
        for weight in (*self.see.parameters(), *self.joins.parameters()):
            nn.init.zeros_(weight)

    def freeze(self) -> None:
        """Keep the base as it is, and begin the branch as its way down."""
        self.base.requires_grad_(False)
        self.branch.load_state_dict(
            {
                name: value
                for name, value in self.base.state_dict().items()
                if name in self.branch.state_dict()
            }
        )

    def forward(self, x: Tensor, t: Tensor, bag: Tensor, sketch: Tensor) -> Tensor:
        """[B, C, H, W], [B], [B, words] of indices, lines [B, 1, H, W] -> [B, C, H, W]."""
        c, x = self.base.condition(t, bag), self.base.patched(x, bag)
        lines = F.pixel_unshuffle(sketch, self.base.patch)
        *kept, middle = self.base.descend(x, c)
        *more, below = self.branch.descend(x + self.see(torch.cat((x, lines), dim=1)), c)
        first, second, last = self.joins
        kept = [kept[0] + first(more[0]), kept[1] + second(more[1])]
        return self.base.ascend(middle + last(below), kept, c)
