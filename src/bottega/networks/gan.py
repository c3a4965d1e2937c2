"""Generator, critic and the relativistic loss with both gradient penalties (R3GAN, Huang 2024)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Residual(nn.Module):
    """x + conv(act(conv(act(x)))), the last convolution starting at zero; no normalisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, width, 3, 1, 1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] -> the same."""
        return x + self.conv2(F.leaky_relu(self.conv1(F.leaky_relu(x, 0.2)), 0.2))


class Generator(nn.Module):
    """[B, latent] and [B, 1] class indices from 1 -> [B, channels, side, side], about -1..1 once trained."""

    def __init__(self, channels: int, side: int, width: int, classes: int, latent: int = 64) -> None:
        super().__init__()
        self.latent, self.small, self.width = latent, side // 4, width
        self.word = nn.Embedding(classes + 1, latent)
        self.into = nn.Linear(2 * latent, 2 * width * self.small**2)
        self.block1, self.block2 = Residual(2 * width), Residual(width)
        self.grow1, self.grow2 = nn.Conv2d(2 * width, width, 1), nn.Conv2d(width, width, 1)
        self.block3, self.out = Residual(width), nn.Conv2d(width, channels, 3, 1, 1)

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        """[B, latent], [B, 1] -> [B, channels, side, side]."""
        h = self.into(torch.cat((z, self.word(label[:, 0])), 1)).view(
            -1, 2 * self.width, self.small, self.small
        )
        h = F.interpolate(self.grow1(self.block1(h)), scale_factor=2.0, mode="nearest")
        h = F.interpolate(self.grow2(self.block2(h)), scale_factor=2.0, mode="nearest")
        return self.out(F.leaky_relu(self.block3(h), 0.2))


class Critic(nn.Module):
    """[B, channels, side, side] and the class -> a score, higher for real; the class enters by projection."""

    def __init__(self, channels: int, side: int, width: int, classes: int) -> None:
        super().__init__()
        self.into = nn.Conv2d(channels, width, 3, 2, 1)
        self.block1, self.shrink = Residual(width), nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.block2 = Residual(2 * width)
        self.flat = nn.Linear(2 * width * (side // 4) ** 2, 64)
        self.score, self.word = nn.Linear(64, 1), nn.Embedding(classes + 1, 64)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """[B, channels, side, side], [B, 1] -> [B]."""
        h = self.block2(self.shrink(F.leaky_relu(self.block1(self.into(x)), 0.2)))
        h = F.leaky_relu(self.flat(F.leaky_relu(h, 0.2).flatten(1)), 0.2)
        return self.score(h)[:, 0] + (h * self.word(label[:, 0])).sum(1) / 8


def critic_loss(critic: Critic, real: Tensor, fake: Tensor, label: Tensor, gamma: float) -> Tensor:
    """softplus(D(fake) - D(real)) + gamma/2 (|grad D|^2 on real + on fake)."""
    real, fake = real.detach().requires_grad_(True), fake.detach().requires_grad_(True)
    on_real, on_fake = critic(real, label), critic(fake, label)
    slopes = torch.autograd.grad([on_real.sum(), on_fake.sum()], [real, fake], create_graph=True)
    penalty = sum((slope.square().sum(dim=(1, 2, 3)) for slope in slopes), torch.zeros(len(real)))
    return (F.softplus(on_fake - on_real) + gamma / 2 * penalty).mean()


def generator_loss(critic: Critic, real: Tensor, fake: Tensor, label: Tensor) -> Tensor:
    """softplus(D(real) - D(fake)): a fake shall look more real than a real one."""
    return F.softplus(critic(real, label).detach() - critic(fake, label)).mean()
