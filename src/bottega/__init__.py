"""Bottega: a brief becomes checked, signed, multimodal deliverables."""
