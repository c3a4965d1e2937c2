"""The operations, once; Python, CLI, HTTP and console all call them."""

from bottega.service.making import Made, Watch
from bottega.service.operations import Bottega

__all__ = ["Bottega", "Made", "Watch"]
