"""Parameters, FLOPs and activations of an encoder in front of a transformer."""

from __future__ import annotations

from dataclasses import dataclass

from hindmost.catalog import Encoder, Transformer
from hindmost.units import BF16_BYTES


@dataclass(frozen=True, kw_only=True)
class EncoderFlops:
    """FLOPs of an encoder for one token of the sequences behind it, forward and backward together.

    Attributes
    ----------
    products : float
        Matrix products, those of the projector included.
    attention : float
        Attention scores and values.
    frozen : float
        Of both, what frozen layers do not compute: both products of the backward pass.
    """

    products: float = 0.0
    attention: float = 0.0
    frozen: float = 0.0

    @property
    def total(self) -> float:
        """All that is computed."""
        return self.products + self.attention - self.frozen


def encoder_parameters(model: Transformer) -> int:
    """Return the parameters of a model's encoder and its projector; 0 without one."""
    encoder = model.encoder
    if encoder is None:
        return 0
    return tower_parameters(encoder) + projector_parameters(model)


def tower_parameters(encoder: Encoder) -> int:
    """Return the parameters of an encoder without its projector: matrices, norms and positions."""
    learned = encoder.hidden * (encoder.positions + 1)
    norms = 2 * encoder.n_layers * encoder.hidden
    return _multiplied(encoder) + learned + norms


def projector_parameters(model: Transformer) -> int:
    """Return the parameters that bring what an encoder gives to the width of the model."""
    encoder = model.encoder
    if encoder is None:
        return 0
    taken, between = encoder.merge * encoder.hidden, encoder.projector_hidden
    return taken * model.hidden if between is None else between * (taken + model.hidden)


def encoder_flops(model: Transformer, seq_len: int, *, frozen: bool = False) -> EncoderFlops:
    """Return the FLOPs of a model's encoder for one token of the sequences behind it.

    Parameters
    ----------
    model
        The model.
    seq_len
        Tokens of a sequence, >= 1.
    frozen
        Whether its layers are frozen whatever the encoder says.

    Notes
    -----
    6 FLOPs a parameter that multiplies and token of the encoder, and ``12 heads_width segment`` a
    layer for scores and values, since nothing is masked. Frozen layers compute the forward pass
    only, and the projector behind them no gradient of what it takes.
    """
    encoder = model.encoder
    if encoder is None:
        return EncoderFlops()
    each = encoder.tokens / seq_len
    tower = 6.0 * _multiplied(encoder) * each
    projector = 6.0 * projector_parameters(model) * each / encoder.merge
    attention = 12.0 * encoder.n_layers * encoder.heads_width * encoder.segment * each
    not_computed = 0.0
    if encoder.frozen or frozen:
        not_computed = (tower + attention) * 2 / 3 + projector / 3
    return EncoderFlops(products=tower + projector, attention=attention, frozen=not_computed)


def encoder_kept_bytes(encoder: Encoder, recompute: str) -> float:
    """Return the bytes of activations that an encoder keeps for one of its tokens, in BF16.

    What `kept_bytes_per_token` keeps of a layer, in all layers; nothing of frozen ones.
    """
    if encoder.frozen:
        return 0.0
    if recompute == "full":
        return float(BF16_BYTES * encoder.n_layers * encoder.hidden)
    inputs = (2 if encoder.gated else 1) * encoder.ffn_hidden
    width = 2 * encoder.hidden + 4 * encoder.heads_width + inputs
    if recompute == "none":
        width += 2 * encoder.hidden + encoder.ffn_hidden
    return float(BF16_BYTES * encoder.n_layers * width)


def _multiplied(encoder: Encoder) -> int:
    """Return the parameters of an encoder that multiply for each of its tokens."""
    attention = 4 * encoder.hidden * encoder.heads_width
    feed_forward = (3 if encoder.gated else 2) * encoder.hidden * encoder.ffn_hidden
    return encoder.n_layers * (attention + feed_forward) + encoder.input_width * encoder.hidden
