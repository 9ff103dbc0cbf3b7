"""The doctor's verdicts on the ten broken layers."""

from __future__ import annotations

import pytest
from ten_broken_layers import broken_layers, main

CAUSES = [
    {"b": {"missing_broadcast_sum"}},
    {"x": {"wrong_mask"}},
    {"x": {"missing_mean"}},
    {"x": {"wrong_index"}},
    {"x": {"overwritten"}},
    {"x": {"unflipped_kernel"}},
    {"x": {"tie_convention"}},
    {"x": {"diagonal_only"}},
    {"x": {"missing_dropout_scale"}},
    {"w1": {"missing_regularization"}, "w2": {"missing_regularization"}},
]


@pytest.mark.parametrize(
    ("layer", "causes"),
    list(zip(broken_layers(), CAUSES, strict=True)),
    ids=lambda value: getattr(value, "title", ""),
)
def test_the_doctor_names_the_mistake(layer, causes):
    assert layer.diagnose().causes == causes


def test_the_script_prints_a_report_for_each(capsys):
    main()
    assert capsys.readouterr().out.count("diagnosis: ") == len(CAUSES)
