"""Diagrams of models: what they show, in text of any width and as a picture that stays safe."""

import re
import xml.etree.ElementTree as ElementTree

import keras
import pytest
from keras import layers

from dropout_zoo.models import build_cnn, build_mlp, diagram, dropout_sites
from dropout_zoo.models.diagrams.lanes import assign_lanes

SVG = "{http://www.w3.org/2000/svg}"


def residual(blocks=1, rates=0.3, name="residual"):
    """A residual net with dropout inside its blocks; the first has a projection."""
    x = image = keras.Input((8, 8, 3), name="image")
    for block in range(blocks):
        skip = layers.Conv2D(4, 1, name=f"block_{block}_projection")(x) if block == 0 else x
        y = layers.Conv2D(4, 3, padding="same", name=f"block_{block}_conv_1")(x)
        rate = rates if isinstance(rates, float) else rates[block]
        y = layers.Dropout(rate, name=f"block_{block}_dropout")(y)
        y = layers.Conv2D(4, 3, padding="same", name=f"block_{block}_conv_2")(y)
        x = layers.Add(name=f"block_{block}_add")([skip, y])
    x = layers.Dense(2, name="head")(layers.Flatten(name="flatten")(x))
    return keras.Model(image, x, name=name)


def nested():
    """Two inputs through one encoder, and a recurrent and an attending layer that drop."""
    encoder = keras.Sequential(
        [keras.Input((6,)), layers.Dense(8, name="wide"), layers.Dropout(0.25, name="drop")],
        name="encoder",
    )
    left, right = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    x = layers.Concatenate(name="both")([encoder(left), encoder(right)])
    x = layers.Reshape((4, 4), name="steps")(x)
    memory = layers.LSTM(4, dropout=0.1, recurrent_dropout=0.2, name="memory")
    x = layers.Reshape((2, 2), name="pairs")(memory(x))
    x = layers.MultiHeadAttention(1, 2, dropout=0.1, name="attention")(x, x)
    return keras.Model([left, right], layers.Dense(2, name="head")(x), name="nested")


class Subclassed(keras.Model):
    """A model without a graph."""

    def __init__(self):
        super().__init__(name="subclassed")
        self.hidden = layers.Dense(8)
        self.drop = layers.Dropout(0.5)
        self.head = layers.Dense(2)

    def call(self, inputs, training=None):
        return self.head(self.drop(self.hidden(inputs), training=training))


MODELS = {
    "mlp": build_mlp,
    "cnn": lambda: build_cnn(input_rate=0.2, conv_rates=0.25),
    "residual": residual,
    "deep": lambda: residual(20),
    "nested": nested,
}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return MODELS[request.param]()


def test_the_text_shows_layers_shapes_parameters_and_sites():
    lines = diagram(build_mlp()).text().splitlines()
    assert re.fullmatch(r"○ input_layer\w*  Input +28 x 28", lines.pop(3))  # numbered by Keras
    assert lines == [
        "mlp: 109,386 parameters, 2 dropout sites (◆)",
        "",
        "  layer                                                        shape  parameters",
        "● flatten  Flatten                                               784",
        "● hidden_1  Dense 128, relu                                      128     100,480",
        "◆ hidden_1_dropout  Dropout                                      128",
        "│ └ rate 0.50, hidden, guidance 0.40-0.50",
        "● hidden_2  Dense 64, relu                                        64       8,256",
        "◆ hidden_2_dropout  Dropout                                       64",
        "│ └ rate 0.30, hidden, guidance 0.40-0.50 (below)",
        "● classifier  Dense 10, softmax                                   10         650",
    ]


def test_residual_branches_run_beside_the_layers_that_they_pass_by():
    rail = [line[:5].rstrip() for line in diagram(residual()).text().splitlines()[3:]]
    assert rail == [
        "○   i", "├─┐", "│ ● b", "│ ◆ b", "│ │ └", "│ ● b", "● │ b", "├─┘", "●   b", "●   f",
        "●   h",
    ]  # fmt: skip


def test_every_weight_and_every_site_is_shown_once(model):
    spec = diagram(model).spec
    assert sum(layer.parameters for layer in spec.layers) == model.count_params()
    told = [
        (path, rate)
        for layer in spec.layers
        for site in layer.sites
        for path, rate in zip(site.paths, site.rates, strict=True)
    ]
    # A layer that is called again is drawn again.
    assert set(told) == {(site.path, site.rate) for site in dropout_sites(model)}


def test_a_lane_ends_at_the_last_layer_that_uses_it(model):
    drawn = diagram(model, collapse=False).spec.layers
    places = assign_lanes(drawn)
    for number, layer in enumerate(drawn):
        for source in layer.sources:
            lane = places[source].lane
            between = places[source + 1 : number]
            assert all(lane in (*place.passing, *place.joining) for place in between)
            assert lane in (*places[number].ending, *places[number].joining)
        assert not {places[number].lane} & {*places[number].passing, *places[number].joining}


@pytest.mark.parametrize("width", [24, 40, 63, 80, 120])
def test_text_fits_the_terminal(model, width):
    lines = diagram(model).text(width).splitlines()
    assert max(map(len, lines)) <= width
    plain = diagram(model).text(width, ascii_only=True)
    assert plain.isascii()
    assert len(plain.splitlines()) == len(lines)
    marked = [line for line in plain.splitlines() if "#" in line]
    assert len(marked) > sum(bool(layer.sites) for layer in diagram(model).spec.layers)


def test_repeated_layers_of_a_deep_model_are_drawn_once():
    rates = [0.0, *(round(0.01 * block, 2) for block in range(1, 20))]
    model = residual(20, rates)
    text = diagram(model).text()
    assert "19 times: block_1 to block_19" in text
    assert "rate 0.01 to 0.19, convolutional, no guidance" in text
    assert text.count("Add") == 2
    everything = diagram(model, collapse=False).text()
    assert everything.count("Add") == 20
    assert "times" not in everything
    assert "2 times" not in diagram(residual(3)).text()
    assert "2 times: block_1 to block_2" in diagram(residual(3), collapse=True).text()


@pytest.mark.parametrize(
    ("name", "most"),
    [
        pytest.param("ResNet50", 140, marks=pytest.mark.slow),
        pytest.param("DenseNet121", 80, marks=pytest.mark.slow),
    ],
)
def test_deep_application_models_stay_readable(name, most):
    model = getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3), classes=5)
    drawn = diagram(model)
    assert len(drawn.text().splitlines()) < most < len(model.layers)
    assert sum(layer.parameters for layer in drawn.spec.layers) == model.count_params()


def test_layers_that_feed_a_later_layer_are_not_merged():
    """A skip from the first of three equal blocks would be lost."""
    x = first = keras.Input((4,))
    outputs = []
    for _ in range(3):
        for _ in range(3):
            x = layers.Dense(4, activation="relu")(x)
        outputs.append(x)
    model = keras.Model(first, layers.Add()([outputs[0], outputs[2]]))
    drawn = diagram(model, collapse=True).spec.layers
    assert sum(layer.kind == "Dense" for layer in drawn[drawn[-1].sources[0] + 1 :]) >= 1
    assert len(drawn[-1].sources) == 2


def test_nested_models_composite_layers_and_several_inputs_are_drawn():
    text = diagram(nested()).text()
    assert text.count("model encoder") == 2
    assert "left" in text and "right" in text
    assert "Dense 8, called again" in text
    for words in (
        "cell/dropout: rate 0.10, recurrent, no guidance",
        "cell/recurrent_dropout: rate 0.20, recurrent, no guidance",
        "rate 0.25, hidden, guidance 0.40-0.50 (below)",
        "MultiHeadAttention 1 heads, key size 2",
    ):
        assert words in text


def test_layers_of_repeated_nested_models_are_drawn_once():
    blocks = [
        keras.Sequential([layers.Dense(4), layers.Dropout(0.2), layers.Dense(4)], name=f"block_{n}")
        for n in range(4)
    ]
    model = keras.Sequential([keras.Input((4,)), *blocks, layers.Dense(2)])
    text = diagram(model, collapse=True).text()
    assert "4 times: block_0 to block_3" in text
    assert text.count("model block_") == 1


def test_several_outputs_are_marked():
    inputs = keras.Input((4,))
    x = layers.Dense(3, name="features")(inputs)
    text = diagram(keras.Model(inputs, [x, layers.Dense(2, name="head")(x)])).text()
    assert "Dense 3, output" in text
    assert "Dense 2, output" in text


def test_models_without_a_graph_are_shown_as_lists():
    drawn = diagram(Subclassed())
    text = " ".join(drawn.text().split())
    assert "subclassed: not built, 1 dropout site" in text
    assert "a subclassed model has no graph to read" in text
    assert text.index("hidden Dense 8") < text.index("drop Dropout") < text.index("head Dense 2")
    assert "rate 0.50, hidden, guidance 0.40-0.50" in text
    assert not any(layer.sources for layer in drawn.spec.layers)
    assert "no graph to read" in drawn.svg()


def test_unbuilt_models_are_drawn():
    text = diagram(keras.Sequential([layers.Dense(4), layers.Dropout(0.2), layers.Dense(2)])).text()
    assert "not built" in text
    assert "?" in text


def test_diagrams_say_that_a_model_has_no_dropout():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    assert "no dropout sites" in diagram(model).text()
    ElementTree.fromstring(diagram(model).svg())


def test_anything_but_a_model_is_refused():
    with pytest.raises(TypeError, match="expected a Keras model, received str"):
        diagram("mlp")


def test_the_picture_is_complete_and_has_a_description(model):
    drawn = diagram(model)
    root = ElementTree.fromstring(drawn.svg())
    named = root.attrib["aria-labelledby"].split()
    titles = {each.attrib["id"]: each.text for each in root if "id" in each.attrib}
    assert set(named) == set(titles)
    assert root.attrib["role"] == "img"
    assert root.find(f"{SVG}title").text == f"Diagram of {model.name}"
    description = root.find(f"{SVG}desc").text
    written = [text.text for text in root.iter(f"{SVG}text")]
    for layer in drawn.spec.layers:
        assert layer.name in written
        for site, told in zip(layer.sites, layer.site_descriptions(), strict=True):
            assert f"{site.name}: {site.describe()}" in description
            assert f"◆ {told}" in written
    # Dropout has marks and lines of its own, so that color never tells it alone.
    kinds = [each.attrib.get("class") for each in root.iter()]
    dropping = sum(bool(layer.sites) for layer in drawn.spec.layers)
    assert kinds.count("drops") == kinds.count("mark") == dropping
    assert "stroke-dasharray" in root.find(f"{SVG}style").text


def test_text_lies_within_the_picture(model):
    root = ElementTree.fromstring(diagram(model).svg())
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for each in root.iter(f"{SVG}rect"):
        x, y = float(each.get("x", 0)), float(each.get("y", 0))
        assert 0 <= x <= x + float(each.get("width")) <= width
        assert 0 <= y <= y + float(each.get("height")) <= height
    for each in root.iter(f"{SVG}text"):
        x, length = float(each.get("x")), 7.3 * len(each.text)
        left = x - length if each.get("text-anchor") == "end" else x
        assert left >= 0
        assert left + length * (each.get("class") != "title") <= width


def test_names_are_escaped():
    wicked = "<script>alert(1)<script>&\"'\x00\x1b"
    inputs = keras.Input((4,), name="<b>")
    x = layers.Dropout(0.5, name=wicked)(layers.Dense(3)(inputs))
    model = keras.Model(inputs, layers.Dense(2)(x), name="<i>&")
    for shown in (diagram(model).svg(), diagram(model)._repr_html_()):
        assert "<script" not in shown
        root = ElementTree.fromstring(shown)
        assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
            "div", "svg", "title", "desc", "style", "rect", "path", "circle", "g", "text",
        }  # fmt: skip
        assert any("<script>alert(1)" in (each.text or "") for each in root.iter(f"{SVG}text"))
    assert "\x1b" not in diagram(model).text()


def test_the_picture_needs_no_other_files():
    picture = diagram(residual()).svg().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|url\(|@import|<script|href|<image|font-face", picture)
    assert "prefers-color-scheme:dark" in picture


def test_pictures_on_one_page_have_different_ids():
    pictures = [diagram(build_mlp()).svg(), diagram(residual()).svg()]
    ids = [set(re.findall(r'id="([^"]+)"', picture)) for picture in pictures]
    assert not ids[0] & ids[1]
    rules = [re.findall(r"([^{}]+)\{[^{}]*\}", p.split("<style>")[1]) for p in pictures]
    key = ElementTree.fromstring(pictures[0]).attrib["class"]
    assert all(f".{key} " in rule for rule in rules[0])


def test_a_notebook_displays_it():
    drawn = diagram(build_mlp())
    assert drawn._repr_svg_() == drawn.svg()
    assert drawn.svg() in drawn._repr_html_()
    assert str(drawn) == drawn.text()
    assert repr(drawn) == "<ModelDiagram of 'mlp': 109,386 parameters, 2 dropout sites>"
