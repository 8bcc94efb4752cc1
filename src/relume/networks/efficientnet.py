"""EfficientNet-Lite0 (Tan & Le, arXiv 1905.11946, without squeeze and excitation), modules named as in timm. Importing timm takes
two seconds, which most stages would spend for this network alone."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# channels, blocks, kernel, stride, expansion
STAGES = (
    *((16, 1, 3, 1, 1), (24, 2, 3, 2, 6), (40, 2, 5, 2, 6), (80, 3, 3, 2, 6)),
    *((112, 3, 5, 1, 6), (192, 4, 5, 2, 6), (320, 1, 3, 1, 6)),
)
STEM, HEAD, CLASSES = 32, 1280, 1000


class Conv(nn.Conv2d):
    """Padded as in TensorFlow: with a stride, an odd pixel is added right and below."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride=stride, padding=padding, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        if stride > 1:
            down, right = (max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[-2:])
            x = F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))
        return super().forward(x)


class Norm(nn.BatchNorm2d):
    def __init__(self, channels: int, act: bool = True) -> None:
        super().__init__(channels, eps=1e-3)
        self.act = nn.ReLU6() if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.act(super().forward(x))
        return result


class Block(nn.Module):
    """Inverted residual. Without an expansion the first pointwise layer is left out, and timm numbers the others from 1."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner, self.skip = inputs * expansion, inputs == outputs and stride == 1
        norms = [Norm(inner), Norm(inner), Norm(outputs, act=False)]
        if expansion > 1:
            self.conv_pw = Conv(inputs, inner)
            self.bn1 = norms[0]
        self.conv_dw = Conv(inner, inner, kernel, stride, groups=inner)
        if expansion > 1:
            self.bn2, self.conv_pwl, self.bn3 = norms[1], Conv(inner, outputs), norms[2]
        else:
            self.bn1, self.conv_pw, self.bn2 = norms[1], Conv(inner, outputs), norms[2]

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for layer in self.children():
            y = layer(y)
        return y + x if self.skip else y


class EfficientNetLite0(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv_stem, self.bn1 = Conv(3, STEM, 3, 2), Norm(STEM)
        stages, before = [], STEM
        for width, count, kernel, stride, expansion in STAGES:
            others = (Block(width, width, kernel, 1, expansion) for _ in range(count - 1))
            stages.append(nn.Sequential(Block(before, width, kernel, stride, expansion), *others))
            before = width
        self.blocks = nn.Sequential(*stages)
        self.conv_head, self.bn2 = Conv(before, HEAD), Norm(HEAD)
        self.classifier = nn.Linear(HEAD, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        x = self.blocks(self.bn1(self.conv_stem(images)))
        logits: Tensor = self.classifier(torch.flatten(F.adaptive_avg_pool2d(self.bn2(self.conv_head(x)), 1), 1))
        return logits
