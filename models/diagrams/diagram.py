"""`diagram`, which shows where the dropout of a Keras model is, as text and as SVG."""

from __future__ import annotations

import keras

from dropout_zoo.models.diagrams.collapse import COLLAPSE_ABOVE, collapse_repeats
from dropout_zoo.models.diagrams.extract import extract_spec
from dropout_zoo.models.diagrams.spec import DiagramSpec
from dropout_zoo.models.diagrams.svg import svg_document
from dropout_zoo.models.diagrams.text import text_lines
from dropout_zoo.models.graph.model_graph import check_is_model


class ModelDiagram:
    """A diagram of a model, as returned by `diagram`. Jupyter shows it as a picture.

    Attributes:
        spec: the content of the diagram, as plain data.

    Example:
        >>> from dropout_zoo.models import build_mlp, diagram
        >>> shown = diagram(build_mlp(units=(32,), hidden_rates=0.25))
        >>> shown
        <ModelDiagram of 'mlp': 25,450 parameters, 1 dropout site>
        >>> shown.svg().startswith("<svg")
        True
    """

    def __init__(self, spec: DiagramSpec) -> None:
        self.spec = spec

    def text(self, width: int = 80, *, ascii_only: bool = False) -> str:
        """Render the diagram as text.

        Args:
            width: number of columns, at least 24.
            ascii_only: whether to use ASCII characters only.

        Returns:
            The lines, without color.
        """
        lines = text_lines(self.spec, width, ascii_only=ascii_only)
        return "\n".join(line.text for line in lines)

    def svg(self) -> str:
        """Render the diagram as a picture.

        Returns:
            A self-contained SVG document without scripts.
        """
        return svg_document(self.spec)

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_html_(self) -> str:
        return f'<div style="overflow-x: auto">{self.svg()}</div>'

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<ModelDiagram of {self.spec.name!r}: {self.spec.summary()}>"


def diagram(model: keras.Model, *, collapse: bool | None = None) -> ModelDiagram:
    """Show the layers of a model from input to output, and where it applies dropout.

    Every dropout site is marked, with its rate, its placement and the guidance for it. Nested
    models are unfolded, and residual branches are drawn on lanes of their own. For a subclassed
    model, which has no graph, the layers are listed.

    Args:
        model: any Keras model, compiled or not.
        collapse: whether to show repeated layers, such as the blocks of a residual network, only
            once with the number of repetitions; None to do so for models of more than 40 layers.

    Returns:
        The diagram, with methods `text` and `svg`; Jupyter shows it as a picture.

    Raises:
        TypeError: `model` is not a Keras model.

    Example:
        >>> from dropout_zoo.models import build_mlp, diagram
        >>> shown = diagram(build_mlp(units=(32,), hidden_rates=0.25))
        >>> print(shown.text(60, ascii_only=True).splitlines()[0])
        mlp: 25,450 parameters, 1 dropout site (#)
    """
    check_is_model(model)
    spec = extract_spec(model)
    if len(spec.layers) > COLLAPSE_ABOVE if collapse is None else collapse:
        spec = collapse_repeats(spec)
    return ModelDiagram(spec)
