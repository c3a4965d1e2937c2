"""A Marian translation model on CTranslate2: sentences in, sentences out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bottega.core.errors import EngineFailed
from bottega.engines.base import require

END = "</s>"  # Marian models expect it at the end of the source


class Marian:
    """Weights in memory. ``folder`` holds a CTranslate2 model with ``source.spm`` and ``target.spm``."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Load the weights, in about a second.

        Raises:
            EngineFailed: when CTranslate2 or SentencePiece cannot read the files.
            ExtraMissing: without the extra ``translate``.
        """
        self.read = self.wrote = 0  # tokens
        ctranslate2: Any = require("ctranslate2", extra="translate")
        sentencepiece: Any = require("sentencepiece", extra="translate")
        try:
            self._model: Any = ctranslate2.Translator(
                str(folder), device="cpu", inter_threads=1, intra_threads=threads
            )
            self._source, self._target = (
                sentencepiece.SentencePieceProcessor(model_file=str(folder / name))
                for name in ("source.spm", "target.spm")
            )
        except (RuntimeError, OSError, ValueError) as error:
            raise EngineFailed(
                "the translation model cannot be loaded",
                where=folder.name,
                remedy=f"bottega pull {folder.name}",
            ) from error

    def translate(self, sentences: Sequence[str]) -> list[str]:
        """One translation a sentence, by beam search of width 4."""
        tokens = [[*self._source.encode(sentence, out_type=str), END] for sentence in sentences]
        longest = 2 * max(map(len, tokens)) + 16
        found: Any = self._model.translate_batch(tokens, beam_size=4, max_decoding_length=longest)
        self.read += sum(map(len, tokens))
        self.wrote += sum(len(result.hypotheses[0]) for result in found)
        return [str(self._target.decode(result.hypotheses[0])) for result in found]
