"""The Jargon File 4.4.7: 1.7 MB of English about hackers' slang; in the public domain; from Debian."""

import gzip
from pathlib import Path

import numpy as np
import torch

from bottega.training.data import debian
from bottega.training.data.base import Data, Watch

PACKAGE, VERSION = "jargon-text", "4.4.7-4.1"
SHA256 = "17d05997e30eb3d5d6713929b8e2f81b63a5f50073858ad2a06701c71f54dcdb"


def prepare(home: Path, watch: Watch) -> Data:
    """Fetch and unpack; every tenth block of 16 KiB is held out, because the file is in the order of the alphabet."""
    watch(f"fetching {PACKAGE}, 0.7 MB, from Debian")
    file = debian.fetch(PACKAGE, VERSION, SHA256, home / "data" / "archives")
    path = "./usr/share/doc/jargon-text/jargon.txt.gz"
    tokens = np.frombuffer(gzip.decompress(debian.members(file, (path,))[path]), np.uint8)
    block = np.arange(len(tokens)) // 16384 % 10 == 9
    return Data(
        name="jargon-file",
        licence="public domain",
        attribution="The on-line hacker Jargon File, version 4.4.7, 29 Dec 2003",
        train={"tokens": torch.from_numpy(tokens[~block].copy())},
        test={"tokens": torch.from_numpy(tokens[block].copy())},
        shape={"vocabulary": 256},
    )
