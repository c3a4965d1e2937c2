"""The operations, once; Python, CLI, HTTP and console all call them."""

from bottega.service.operations import Bottega, Made, Watch

__all__ = ["Bottega", "Made", "Watch"]
