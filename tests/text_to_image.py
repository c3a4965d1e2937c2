"""Text-to-image pipelines of about a hundred thousand random weights, saved as Diffusers saves them."""

import json
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

LATENTS = 4  # channels


def stable_diffusion(folder: Path, prediction: str = "epsilon", halvings: int = 3) -> Path:
    """Noise schedule, UNet and one text encoder; ``halvings`` of the side by the VAE."""
    torch.manual_seed(0)
    made: Any = diffusers
    unet = made.UNet2DConditionModel(
        sample_size=8, in_channels=LATENTS, out_channels=LATENTS, layers_per_block=1, block_out_channels=(8, 16),
        norm_num_groups=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=16, attention_head_dim=4,
    )  # fmt: skip
    folder.mkdir(parents=True)
    pipeline = made.StableDiffusionPipeline(
        vae=_vae(halvings), text_encoder=transformers.CLIPTextModel(_words()), tokenizer=_tokenizer(folder), unet=unet,
        scheduler=made.DDIMScheduler(
            beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1,
            prediction_type=prediction,
        ),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(str(folder), safe_serialization=True)
    return folder


def stable_diffusion_3(folder: Path, halvings: int = 1) -> Path:
    """Straight paths, transformer and three text encoders."""
    torch.manual_seed(0)
    made: Any = diffusers
    folder.mkdir(parents=True)
    tokenizer = _tokenizer(folder)
    long = transformers.T5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    encoders = [transformers.CLIPTextModelWithProjection(_words()) for _ in range(2)]
    transformer = made.SD3Transformer2DModel(
        sample_size=8, patch_size=1, in_channels=LATENTS, out_channels=LATENTS, num_layers=1, attention_head_dim=8,
        num_attention_heads=2, joint_attention_dim=32, caption_projection_dim=16, pooled_projection_dim=32,
    )  # fmt: skip
    pipeline = made.StableDiffusion3Pipeline(
        transformer=transformer, scheduler=made.FlowMatchEulerDiscreteScheduler(shift=3.0), vae=_vae(halvings, 0.1),
        text_encoder=encoders[0], tokenizer=tokenizer, text_encoder_2=encoders[1], tokenizer_2=tokenizer,
        text_encoder_3=transformers.T5EncoderModel(long), tokenizer_3=_long_tokenizer(),
    )  # fmt: skip
    pipeline.save_pretrained(str(folder), safe_serialization=True)
    return folder


def _vae(halvings: int, shift: float | None = None) -> Any:
    made: Any = diffusers
    return made.AutoencoderKL(
        block_out_channels=(8,) * (halvings + 1), latent_channels=LATENTS, shift_factor=shift, norm_num_groups=4, sample_size=64,
        down_block_types=("DownEncoderBlock2D",) * (halvings + 1), up_block_types=("UpDecoderBlock2D",) * (halvings + 1),
    )  # fmt: skip


def _words() -> Any:
    return transformers.CLIPTextConfig(
        hidden_size=16, intermediate_size=32, num_attention_heads=2, num_hidden_layers=2, vocab_size=64,
        max_position_embeddings=16, bos_token_id=0, eos_token_id=1, pad_token_id=1, projection_dim=16,
    )  # fmt: skip


def _tokenizer(folder: Path) -> Any:
    """Letters."""
    vocabulary = {"<|startoftext|>": 0, "<|endoftext|>": 1}
    for code in range(97, 123):
        vocabulary[chr(code)] = len(vocabulary)
        vocabulary[f"{chr(code)}</w>"] = len(vocabulary)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    words: Any = transformers
    return words.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16)


def _long_tokenizer() -> Any:
    """Words of one letter, and all others as one."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {"<pad>": 0, "</s>": 1, "<unk>": 2, **{chr(code): code - 94 for code in range(97, 123)}}
    tokenizer = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    fast: Any = transformers.PreTrainedTokenizerFast
    return fast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
