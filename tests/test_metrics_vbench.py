"""pytest tests/test_metrics_vbench.py: the totals are those of the paper's Table 1."""

import pytest

from pusa_lab.metrics import I2V, QUALITY, RANGES, totals

NAMES = [*QUALITY, *I2V]
TABLE = {  # 2507.16116, Table 1, in percent: total, I2V, quality; SC BC MS DD AQ IQ; I2V-S I2V-B CM
    "Gen-4-I2V API": "88.27 95.65 80.89 93.23 96.79 98.99 55.20 61.77 70.41 97.84 97.46 68.26",
    "STIV": "86.73 93.48 79.98 98.40 98.39 99.61 15.28 66.00 70.81 98.96 97.35 11.17",
    "Magi-1": "89.28 96.12 82.44 93.96 96.74 98.68 68.21 64.74 69.71 98.39 99.00 50.85",
    "Step-Video-TI2V": "88.36 95.50 81.22 96.02 97.06 99.24 48.78 62.29 70.44 97.86 98.63 49.23",
    "DynamiCrafter-512": "86.99 93.53 80.46 93.81 96.64 96.84 69.67 60.88 68.60 97.21 97.40 31.98",
    "CogVideoX-5b-I2V": "86.70 94.79 78.61 94.34 96.42 98.40 33.17 61.87 70.01 97.19 96.74 67.68",
    "Animate-Anything": "86.48 94.25 78.71 98.90 98.19 98.61 2.68 67.12 72.09 98.76 98.58 13.08",
    "SEINE-512": "85.52 92.67 78.37 95.28 97.12 97.12 27.07 64.55 71.39 97.15 96.94 20.97",
    "I2VGen-XL": "85.28 92.11 78.44 94.18 97.09 98.34 26.10 64.82 69.14 96.48 96.83 18.48",
    "ConsistI2V": "84.07 91.91 76.22 95.27 98.28 97.38 18.62 59.00 66.92 95.82 95.95 33.92",
    "VideoCrafter": "82.57 86.31 78.84 97.86 98.79 98.00 22.60 60.78 71.68 91.17 91.31 33.60",
    "Wan-I2V": "86.86 92.90 80.82 94.86 97.07 97.90 51.38 64.75 70.44 96.95 96.44 34.76",
    "Pusa": "87.32 94.84 79.80 92.27 96.02 98.49 52.60 63.15 68.27 97.64 99.24 29.46",
}


@pytest.mark.parametrize("row", TABLE)
def test_table_1_comes_out(row):
    total, i2v, quality, *scores = (float(x) / 100 for x in TABLE[row].split())
    found = totals(dict(zip(NAMES, scores, strict=True)))
    assert found["quality"] == pytest.approx(quality, abs=2e-4)
    assert found["i2v"] == pytest.approx(i2v, abs=2e-4)
    assert found["total"] == pytest.approx(total, abs=2e-4)


def test_rows_without_camera_motion_have_a_quality():
    # SVD-XT-1.1 and 1.0 were given no I2V score; their quality still follows.
    for want, row in (
        (79.40, "95.42 96.77 98.12 43.17 60.23 70.23 97.51 97.62"),
        (80.11, "95.52 96.61 98.09 52.36 60.15 69.80 97.52 97.63"),
    ):
        found = totals({name: float(x) / 100 for name, x in zip(NAMES[:-1], row.split(), strict=True)})
        assert found["quality"] == pytest.approx(want / 100, abs=2e-4)


def test_what_was_not_measured_is_left_out_of_both_sums():
    scores = {"subject_consistency": 0.5731, "dynamic_degree": 1, "i2v_background": 1.0, "flicker": 44.0}
    found = totals(scores)  # (.5731 - .1462) / (1 - .1462) = .5
    assert found["quality"] == pytest.approx((0.5 + 0.5) / 1.5)
    assert found["i2v"] == 1
    assert found["total"] == pytest.approx((2 / 3 + 1) / 2)
    plain = totals(scores, dict.fromkeys(RANGES, (0.0, 1.0)))
    assert plain["quality"] == pytest.approx((0.5731 + 0.5) / 1.5)


def test_the_tables_name_the_same_dimensions():
    assert set(QUALITY) | set(I2V) == set(RANGES)


def test_a_missing_group_and_percent_are_refused():
    with pytest.raises(ValueError, match="i2v total needs"):
        totals({"dynamic_degree": 1.0, "text_alignment": 1.0})
    with pytest.raises(ValueError, match="quality total needs"):
        totals({"i2v_subject": 1.0})
    with pytest.raises(ValueError, match="not percent"):
        totals({"i2v_subject": 97.6, "dynamic_degree": 1.0})
