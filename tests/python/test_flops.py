"""Parameters and FLOPs of transformers against published figures and sums by hand."""

import pytest
from tests.plans import job

import hindmost as hm
from hindmost import catalog
from hindmost.catalog import Transformer, layers_of
from hindmost.physics.flops import (
    active_parameters,
    attention_flops_per_token,
    attention_parameters,
    expert_parameters,
    flops_by_part,
    layer_attention_flops_per_token,
    layer_matmul_parameters,
    layer_parameters,
    matmul_parameters,
    model_flops_per_token,
    norm_parameters,
    output_parameters,
    parameters,
    recomputed_share,
)

MODELS = [catalog.model(name) for name in catalog.names("models")]

SMALL: dict[str, object] = {
    "n_layers": 2,
    "hidden": 8,
    "n_heads": 4,
    "n_kv_heads": 2,
    "head_dim": 3,
    "ffn_hidden": 16,
    "vocabulary": 10,
}


def small(**changes: object) -> Transformer:
    return Transformer.model_validate({**SMALL, **changes})


@pytest.mark.parametrize(
    ("name", "all_e9", "matmul_e9", "digits"),
    [
        ("llama3-8b", 8.030261, 7.504658, 6),
        ("llama3-70b", 70.554, 69.502, 3),
        ("llama3-405b", 405.853, 403.748, 3),
    ],
)
def test_parameters_follow_from_dimensions(
    name: str, all_e9: float, matmul_e9: float, digits: int
) -> None:
    model = catalog.model(name)
    assert round(parameters(model) / 1e9, digits) == all_e9
    assert round(matmul_parameters(model) / 1e9, digits) == matmul_e9


@pytest.mark.parametrize(
    ("name", "published_e9"), [("gpt3-175b", 174.6), ("gpt-530b", 529.6), ("gpt-1t", 1008.0)]
)
def test_parameters_of_gpt_are_those_of_narayanan_but_for_biases_and_positions(
    name: str, published_e9: float
) -> None:
    model = catalog.model(name)
    layers, h = model.n_layers, model.hidden
    seq_len = 2048
    # Narayanan et al. (SC 2021), equation 2, times 12 l h to clear its fractions.
    formula = 12 * layers * h * h + 13 * layers * h + (model.vocabulary + seq_len) * h
    assert round(formula / 1e9, 1) == published_e9
    # Of 13 h a layer 2 h scale norms; the last norm is not in the formula.
    assert parameters(model) + 11 * layers * h + seq_len * h - h == formula


def test_parameters_of_palm() -> None:
    model = catalog.model("palm-540b")
    assert parameters(model) / 1e9 == pytest.approx(540.35, abs=0.01)
    # Tied: one matrix both looks up and multiplies.
    assert active_parameters(model) == parameters(model)
    assert parameters(model) - matmul_parameters(model) == (2 * 118 + 1) * 18432


def test_parameters_of_mixtral() -> None:
    model = catalog.model("mixtral-8x7b")
    assert round(parameters(model) / 1e9, 1) == 46.7
    assert round(active_parameters(model) / 1e9, 1) == 12.9
    assert expert_parameters(model) == 32 * 8 * 3 * 4096 * 14336


def test_parameters_of_deepseek_v3() -> None:
    model = catalog.model("deepseek-v3")
    assert round(parameters(model) / 1e9) == 671
    # Said to be 37e9: without the input embedding 36.6e9, with it 37.6e9.
    assert round(matmul_parameters(model) / 1e9) == 37
    assert int(active_parameters(model) / 1e9) == 37
    assert expert_parameters(model) == 58 * 256 * 3 * 7168 * 2048


def test_latent_attention_by_hand() -> None:
    queries = 7168 * 1536 + 1536 * 128 * 192
    keys_and_values = 7168 * 512 + 512 * 128 * (128 + 128)
    shared_position = 7168 * 64
    out = 128 * 128 * 7168
    by_hand = queries + keys_and_values + shared_position + out
    model = catalog.model("deepseek-v3")
    assert attention_parameters(model, layers_of(model)[0]) == by_hand


def test_layers_with_experts_by_hand() -> None:
    experts = {"n_experts": 6, "per_token": 2, "ffn_hidden": 5, "n_shared": 1, "n_dense_layers": 1}
    model = small(experts=experts)
    attention = 8 * 12 + 2 * 8 * 6 + 12 * 8
    dense, with_experts = layers_of(model)
    assert layer_parameters(model, dense) == attention + 3 * 8 * 16
    assert layer_parameters(model, with_experts) == attention + 8 * 6 + 7 * 3 * 8 * 5
    assert layer_matmul_parameters(model, with_experts) == attention + 8 * 6 + 3 * 3 * 8 * 5
    assert expert_parameters(model) == 6 * 3 * 8 * 5
    assert layer_parameters(model, dense) == layer_matmul_parameters(model, dense)
    wider = small(experts={**experts, "shared_ffn_hidden": 7})
    assert parameters(wider) - parameters(model) == 3 * 8 * 2


def test_values_can_be_narrower_than_keys() -> None:
    model = small(v_head_dim=2)
    assert attention_parameters(model, layers_of(model)[0]) == 8 * (4 * 3 + 2 * 3 + 2 * 2 + 4 * 2)


def test_a_gate_is_a_third_matrix() -> None:
    gated, plain = small(), small(gated=False)
    assert parameters(gated) - parameters(plain) == 2 * 8 * 16


def test_tied_embeddings_count_once_and_multiply_all_the_same() -> None:
    untied, tied = small(), small(tied=True)
    assert parameters(untied) - parameters(tied) == 10 * 8
    assert matmul_parameters(untied) == matmul_parameters(tied)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_layers_and_output_make_up_the_model(model: catalog.Model) -> None:
    layers = layers_of(model)
    assert len(layers) == model.n_layers
    matrices = sum(layer_parameters(model, layer) for layer in layers)
    norms = sum(norm_parameters(model, layer) for layer in layers) + model.hidden
    embeddings = (1 if model.tied else 2) * output_parameters(model)
    assert matrices + norms + embeddings == parameters(model)
    multiplying = sum(layer_matmul_parameters(model, layer) for layer in layers)
    assert multiplying + output_parameters(model) == matmul_parameters(model)
    attention = sum(
        layer_attention_flops_per_token(model, layer, seq_len=4096, causal=True) for layer in layers
    )
    total = model_flops_per_token(model, seq_len=4096, causal=True)
    assert 6 * matmul_parameters(model) + attention == pytest.approx(total, rel=1e-12)
    parts = flops_by_part(model, seq_len=4096, causal=True)
    assert sum(parts.values()) == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize(
    ("n_gpus", "sequences", "step_s", "mfu"),
    [(256, 768, 40.0, 0.5300), (12288, 6144, 8.57, 0.4123)],
)
def test_mfu_of_gpt_3_with_full_attention(
    n_gpus: int, sequences: int, step_s: float, mfu: float
) -> None:
    model = catalog.model("gpt3-175b")
    per_token = model_flops_per_token(model, seq_len=2048, causal=False)
    # The worked value takes the rounded 174.6e9 parameters.
    rounded = per_token - 6 * matmul_parameters(model) + 6 * 174.6e9
    flops = sequences * 2048 * rounded
    assert round(flops / (n_gpus * 312e12 * step_s), 4) == mfu
    assert per_token == pytest.approx(rounded, rel=2e-4)


def test_attention_of_deepseek_v3() -> None:
    model = catalog.model("deepseek-v3")
    full, causal = (
        model_flops_per_token(model, seq_len=4096, causal=causal) - 6 * matmul_parameters(model)
        for causal in (False, True)
    )
    assert round(full / 1e9, 3) == 61.405
    assert round((6 * 37e9 + causal) / (6 * 37e9 + full), 4) == 0.8917


def test_a_window_bounds_what_a_token_attends_to() -> None:
    def flops(seq_len: int, causal: bool, window: int | None) -> float:
        return attention_flops_per_token(
            n_layers=2, n_heads=4, d_qk=3, d_v=5, seq_len=seq_len, causal=causal, window=window
        )

    assert flops(1024, False, 256) == 6 * 2 * 4 * 8 * 256
    keys = sum(min(token, 256) for token in range(1, 1025)) / 1024
    assert flops(1024, True, 256) == 6 * 2 * 4 * 8 * keys
    assert flops(128, True, 256) == flops(128, True, None) == 6 * 2 * 4 * 8 * 128 / 2
    model = small(window=256)
    attention = 6 * 2 * 4 * (3 + 3) * keys
    per_token = model_flops_per_token(model, seq_len=1024, causal=True)
    assert per_token == 6 * matmul_parameters(model) + attention


def test_recomputation_costs_a_forward_pass_or_nothing() -> None:
    assert recomputed_share("none") == recomputed_share("selective") == 0
    assert recomputed_share("full") == pytest.approx(1 / 3)


@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
def test_model_flops_do_not_count_recomputation(recompute: str) -> None:
    scenario = hm.load("h100-1k", {"workload.recompute": recompute})
    attention = 6 * 80 * 64 * 256 * 8192 / 2
    per_token = 6 * matmul_parameters(catalog.model("llama3-70b")) + attention
    assert job(scenario).microbatch_model_flops == 2 * 8192 * per_token


def test_a_scenarios_own_model_is_the_one_in_force() -> None:
    table = {name: value for name, value in SMALL.items() if name != "n_heads"}
    own = {"models.my-gpt": {**table, "n_heads": 8, "n_kv_heads": 8}}
    scenario = hm.load("h100-1k", {**own, "workload.model": "my-gpt"})
    assert scenario.model == scenario.models["my-gpt"]
    assert scenario.model.hidden == 8
    assert hm.load("h100-1k", own).model == catalog.model("llama3-70b")
