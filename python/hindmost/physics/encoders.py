"""Parameters, FLOPs and activations of an encoder in front of a transformer."""

from __future__ import annotations

from collections.abc import Collection
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
    forward_products, forward_attention : float
        Those of frozen layers, which have a forward pass only.
    """

    products: float = 0.0
    attention: float = 0.0
    forward_products: float = 0.0
    forward_attention: float = 0.0

    @property
    def total(self) -> float:
        """All that is computed."""
        both = self.products + self.attention
        return both + self.forward_products + self.forward_attention


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
        Whether its layers and the projector are frozen, whatever the encoder says.

    Notes
    -----
    6 FLOPs a parameter that multiplies and token of the encoder, and ``12 heads_width segment`` a
    layer for scores and values, since nothing is masked. Frozen layers compute the forward pass
    only, 2 FLOPs, and a projector that is trained behind them no gradient of what it takes, 4.
    """
    encoder = model.encoder
    if encoder is None:
        return EncoderFlops()
    each = encoder.tokens / seq_len
    tower = 6.0 * _multiplied(encoder) * each
    projector = 6.0 * projector_parameters(model) * each / encoder.merge
    attention = 12.0 * encoder.n_layers * encoder.heads_width * encoder.segment * each
    if frozen:
        return EncoderFlops(
            forward_products=(tower + projector) / 3, forward_attention=attention / 3
        )
    if encoder.frozen:
        return EncoderFlops(
            products=projector * 2 / 3,
            forward_products=tower / 3,
            forward_attention=attention / 3,
        )
    return EncoderFlops(products=tower + projector, attention=attention)


def encoder_module_flops(model: Transformer, seq_len: int, module: str) -> float:
    """Return the FLOPs of products in one part of an encoder's layers, as `encoder_flops` counts.

    Parameters
    ----------
    model, seq_len
        As of `encoder_flops`.
    module
        attention or feed_forward.
    """
    encoder = model.encoder
    if encoder is None or encoder.frozen:
        return 0.0
    each = _of_attention(encoder) if module == "attention" else _of_network(encoder)
    return 6.0 * encoder.n_layers * each * encoder.tokens / seq_len


def encoder_layer_bytes(encoder: Encoder, again: Collection[str] = ()) -> float:
    """Return the bytes of activations that a layer of an encoder keeps for one of its tokens.

    In BF16, what `kept_bytes_per_token` keeps of a layer; nothing of a frozen one.

    Parameters
    ----------
    encoder
        The encoder.
    again
        Parts of the layer that are computed again; ``all`` for all but its input.
    """
    if encoder.frozen:
        return 0.0
    if "all" in again:
        return float(BF16_BYTES * encoder.hidden)
    width = 2 * encoder.hidden
    width += 0 if "norms" in again else 2 * encoder.hidden
    width += 0 if "attention" in again else 4 * encoder.heads_width
    if "feed_forward" not in again:
        width += (2 if encoder.gated else 1) * encoder.ffn_hidden
        width += 0 if "activations" in again else encoder.ffn_hidden
    return float(BF16_BYTES * width)


def _multiplied(encoder: Encoder) -> int:
    """Return the parameters of an encoder that multiply for each of its tokens."""
    each = _of_attention(encoder) + _of_network(encoder)
    return encoder.n_layers * each + encoder.input_width * encoder.hidden


def _of_attention(encoder: Encoder) -> int:
    return 4 * encoder.hidden * encoder.heads_width


def _of_network(encoder: Encoder) -> int:
    return (3 if encoder.gated else 2) * encoder.hidden * encoder.ffn_hidden
