"""pytest tests/test_viz_inside.py: pictures of attention and of changed weights show the numbers they were given."""

import math

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from pusa_lab import viz

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_a_map_shows_its_numbers_and_names_its_axes():
    mass = torch.rand(5, 5).softmax(-1)
    figure = viz.plot_attention(mass, title="last layer")
    figure.canvas.draw()
    picture = figure.axes[0].images[0]
    assert np.array_equal(picture.get_array(), mass.numpy())
    assert picture.get_clim() == (0, pytest.approx(float(mass.max())))
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("frame looked at", "frame that asks")
    assert figure.get_suptitle() == "last layer"


@pytest.mark.parametrize(("count", "columns"), [(1, 4), (3, 2), (4, 4)])
def test_many_maps_share_one_scale(count, columns):
    maps = {f"step {i}": torch.rand(3 + i, 3 + i) * (i + 1) for i in range(count)}
    figure = viz.plot_attention(maps, columns=columns)
    figure.canvas.draw()
    shown = [ax for ax in figure.axes if ax.images and ax.get_title()]
    assert [ax.get_title() for ax in shown] == list(maps)
    assert {ax.images[0].get_clim()[1] for ax in shown} == {max(float(m.max()) for m in maps.values())}
    assert viz.plot_attention(maps, most=0.5).axes[0].images[0].get_clim() == (0, 0.5)


def test_a_stack_of_layers_is_refused(as_user):
    with pytest.raises(ValueError, match=r"the map 'a' has shape \(2, 4, 4\).*one layer"):
        viz.plot_attention({"a": torch.rand(2, 4, 4)})


def change(**relative):
    return {kind: {"relative": r, "share": 0.0, "parameters": 1} for kind, r in relative.items()}


def test_bars_are_the_relative_changes_on_a_log_axis():
    more = {"new": {"names": ["a", "b"], "parameters": 2, "kinds": {"image": 1, "text": 1}}}
    changes = {
        "VTA": change(self_attention=0.5, text=1e-3, norms=0.0),
        "I2V": change(self_attention=0.2, text=0.1) | more,
    }
    ax = viz.plot_change(changes, title="moved")
    ax.figure.canvas.draw()
    assert ax.get_xscale() == "log"
    assert [t.get_text() for t in ax.get_yticklabels()] == ["self attention", "text", "image", "norms"]
    assert [[bar.get_width() for bar in bars] for bars in ax.containers] == [[0.5, 1e-3, 0, 0], [0.2, 0.1, 0, 0]]
    assert [t.get_text() for t in ax.texts] == ["", "", "", "0", "", "+ new", "new", ""]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["VTA", "I2V"]
    assert ax.get_xlim()[0] < 1e-3


def test_nothing_moved_and_everything_moved_can_be_drawn():
    for relative, said in ((0.0, "0"), (math.inf, "from 0")):
        ax = viz.plot_change({"a": change(text=relative)})
        ax.figure.canvas.draw()
        assert [t.get_text() for t in ax.texts] == [said]
        assert ax.get_legend() is None


def test_an_axis_can_be_given_and_more_labels_than_colours_are_refused():
    _, ax = plt.subplots()
    assert viz.plot_change({"a": change(text=0.1)}, ax) is ax
    with pytest.raises(ValueError, match=r"7 labels: 6 can be told apart"):
        viz.plot_change({str(i): change(text=0.1) for i in range(7)})
