"""Keys of a released configuration: reading them, and refusing those that are not understood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hindmost.catalog.transformer import MAX_LAYERS

MOST_SHOWN = 40
"""Characters of a list that a problem shows, at most."""

HARMLESS = frozenset(
    """
    _attn_implementation _attn_implementation_autoset _name_or_path activation add_cross_attention
    architectures attention_bias attention_dropout attention_multiplier attention_out_bias
    attn_logit_softcapping attn_scale attn_temperature_tuning attribute_map auto_map aux_loss_alpha
    begin_suppress_tokens boi_token_index bos_token_id cache_implementation chunk_size
    chunk_size_feed_forward classifier_dropout decoder_start_token_id dtype embd_pdrop
    embedding_dropout embedding_multiplier eoi_token_index eos_token_id ep_size
    experts_implementation final_logit_softcapping finetuning_task floor_scale head_dim_padded
    hidden_act hidden_activation hidden_dropout id2label image_token_index initial_context_length
    initializer_factor initializer_range input_jitter_noise interpolate_factor is_decoder
    is_llama_config label2id layer_norm_eps layer_norm_epsilon lm_head_bias logit_scale
    logits_scaling mamba_hidden_act mamba_proj_bias mamba_ssm_cache_dtype mamba_ssm_dtype
    max_position_embeddings max_seq_len max_window_layers mlp_bias mlp_hidden_act model_max_length
    model_type moe_shared_expert_overlap norm_eps norm_epsilon norm_topk_prob num_logits_to_keep
    original_max_position_embeddings output_attentions output_hidden_states output_router_logits
    pad_token_id partial_rotary_factor prefix pretraining_tp problem_type qkv_bias
    quantization_config query_pre_attn_scalar rescale_prenorm_residual resid_pdrop residual_dropout
    residual_in_fp32 residual_multiplier return_dict rms_norm_eps rotary_emb_base rotary_pct
    routed_scaling_factor router_aux_loss_coef router_jitter_noise scoring_func sep_token_id seq_aux
    summary_type swiglu_alpha swiglu_limit task_specific_params time_step_floor time_step_limit
    time_step_max time_step_min time_step_rank tokenizer_class topk_method torch_dtype torchscript
    transformers_version unsloth_fixed unsloth_version use_bias use_cache use_conv_bias
    use_mamba_kernels use_qk_norm
    """.split()  # noqa: SIM905 - as a list it would be a hundred lines
)
"""Keys that change neither parameters by a thousandth nor FLOPs: biases, norms of heads, positions,
dropout, activations, scales, identities, and how a model is run or stored."""

HARMLESS_BEGINNINGS = ("rope_", "no_rope_", "bos_", "eos_", "pad_", "image_token", "video_token")
"""Beginnings of further such keys."""


@dataclass
class ConfigKeys:
    """Keys of a configuration, those that were read, and what is wrong with them."""

    config: Mapping[str, Any]
    read: set[str] = field(default_factory=set)
    problems: list[tuple[str, str, Any]] = field(default_factory=list)

    def take(self, key: str, default: Any) -> Any:
        """Return the value of a key; null counts as absent."""
        self.read.add(key)
        value = self.config.get(key)
        return default if value is None else value

    def count(self, *names: str, default: int | None = None) -> int:
        """Return the count of the first key that is there; the names are of the same value."""
        for key in names:
            value = self.take(key, None)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                self.problems.append((key, "must be a whole number >= 1", value))
                return 1
            return value
        if default is None:
            self.problems.append((names[0], "is missing", None))
            return 1
        return default

    def whole(self, key: str, default: int = 0) -> int:
        """Return a whole number, which may be 0."""
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            self.problems.append((key, "must be a whole number >= 0", value))
            return default
        return value

    def wholes(self, key: str) -> list[int]:
        """Return a list of whole numbers; none where the key is absent."""
        value = self.take(key, [])
        if not isinstance(value, list) or any(type(one) is not int for one in value):
            self.problems.append((key, "must be a list of whole numbers", str(value)[:MOST_SHOWN]))
            return []
        return value

    def words(self, key: str) -> list[str] | None:
        """Return a list of words; None where the key is absent."""
        value = self.take(key, None)
        if value is None:
            return None
        if not isinstance(value, list) or any(not isinstance(one, str) for one in value):
            self.problems.append((key, "must be a list of words", str(value)[:MOST_SHOWN]))
            return None
        return value

    def layers(self) -> int:
        """Return the layers of the model, no more than a model may have."""
        key = "num_hidden_layers"
        n_layers = self.count(key)
        if n_layers > MAX_LAYERS:
            self.problems.append((key, f"must be <= {MAX_LAYERS:,}", n_layers))
            return 1
        return n_layers

    def number_or_none(self, key: str) -> int | None:
        """Return a count, or nothing where the key is absent or null."""
        return self.count(key) if self.take(key, None) is not None else None

    def flag(self, key: str, *, default: bool) -> bool:
        """Return a boolean."""
        value = self.take(key, default)
        if not isinstance(value, bool):
            self.problems.append((key, "must be true or false", value))
            return default
        return value

    def must_be(self, key: str, *allowed: Any) -> None:
        """Refuse a value that would change what is computed in a way that is not understood."""
        value = self.take(key, None)
        if value is not None and value not in allowed:
            wanted = " or ".join("absent" if one is None else str(one) for one in allowed)
            requirement = f"must be {wanted or 'absent'}: other values are not understood"
            self.problems.append((key, requirement, value))

    def refuse_others(self) -> None:
        """Refuse keys that were not read and are not known to be harmless."""
        for key, value in self.config.items():
            if key in self.read or key in HARMLESS or key.startswith(HARMLESS_BEGINNINGS):
                continue
            if value is None or key.endswith(("_token_id", "_token_ids", "_token_index")):
                continue
            requirement = (
                "is not understood, and may change what is computed: leave it out if it does not"
            )
            self.problems.append((key, requirement, value))
