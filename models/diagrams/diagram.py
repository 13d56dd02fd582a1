"""`diagram`: where the dropout of a Keras model sits, drawn as text and as SVG."""

from __future__ import annotations

import keras

from dropout_zoo.models.diagrams.collapse import COLLAPSE_ABOVE, collapse_repeats
from dropout_zoo.models.diagrams.extract import extract_spec
from dropout_zoo.models.diagrams.spec import DiagramSpec
from dropout_zoo.models.diagrams.svg import svg_document
from dropout_zoo.models.diagrams.text import text_lines


class ModelDiagram:
    """A diagram of a model; make one with `diagram`. Jupyter shows it as a picture.

    Attributes:
        spec: what it shows, as plain data.
    """

    def __init__(self, spec: DiagramSpec) -> None:
        self.spec = spec

    def text(self, width: int = 80, *, ascii_only: bool = False) -> str:
        """Draw it with characters.

        Args:
            width: number of columns, at least 24.
            ascii_only: whether to do without the characters that ASCII lacks.

        Returns:
            The lines, without colour.
        """
        lines = text_lines(self.spec, width, ascii_only=ascii_only)
        return "\n".join(line.text for line in lines)

    def svg(self) -> str:
        """Draw it as a picture.

        Returns:
            An SVG document that needs no other file and no script.
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
    """Draw the layers of a model from input to output, and where its dropout sits.

    Every dropout site is marked with its rate, its placement and the guidance for it. Nested
    models are unfolded; a residual branch runs on a lane of its own. Of a subclassed model, which
    has no graph, the layers are listed.

    Args:
        model: any Keras model, compiled or not.
        collapse: whether layers that repeat, such as the blocks of a residual net, are drawn once
            with a note how often; None for models of more than 40 layers.

    Returns:
        The diagram, with `text` and `svg`; Jupyter shows it as it is.

    Raises:
        TypeError: it is no Keras model.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"expected a Keras model, received {type(model).__name__}")
    spec = extract_spec(model)
    if len(spec.layers) > COLLAPSE_ABOVE if collapse is None else collapse:
        spec = collapse_repeats(spec)
    return ModelDiagram(spec)
