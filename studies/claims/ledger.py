"""The ledger: all claims by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dropout_zoo.models.argument_validation import did_you_mean
from dropout_zoo.studies.claims import (
    averaging,
    causes,
    convolutional,
    full_size,
    overfitting,
    reconstruction,
    regularizers,
    schedules,
)
from dropout_zoo.studies.claims.claim import Claim

if TYPE_CHECKING:
    import pandas as pd

_TOPICS = (
    overfitting,
    causes,
    full_size,
    regularizers,
    convolutional,
    schedules,
    averaging,
    reconstruction,
)

_CLAIMS: dict[str, Claim] = {claim.name: claim for topic in _TOPICS for claim in topic.CLAIMS}


def list_claims() -> Sequence[Claim]:
    """List the claims about dropout that can be tested.

    Returns:
        The claims, by topic.

    Example:
        >>> from dropout_zoo.studies import list_claims
        >>> claims = list_claims()
        >>> claims[0].name
        'lowers-the-rise'
    """
    topics = list(dict.fromkeys(claim.topic for claim in _CLAIMS.values()))
    return sorted(_CLAIMS.values(), key=lambda claim: topics.index(claim.topic))


def get_claim(name: str) -> Claim:
    """Find a claim by its name.

    Args:
        name: its name.

    Returns:
        The claim.

    Raises:
        ValueError: there is no such claim.

    Example:
        >>> from dropout_zoo.studies import get_claim
        >>> get_claim("narrows-the-gap").statement
        'Dropout reduces the gap between validation and training error.'
    """
    if name not in _CLAIMS:
        raise ValueError(
            f"expected the name of a claim, received {name!r}{did_you_mean(name, _CLAIMS)}; "
            "`dropout-zoo claims` lists them"
        )
    return _CLAIMS[name]


def claims_table(names: Sequence[str] | None = None) -> pd.DataFrame:
    """Tabulate claims with their verdicts on the results that come with the package.

    Args:
        names: names of claims; None for all.

    Returns:
        A row per claim, indexed by its statement: the ``verdict``; the ``effect``, as the mean with
        its interval for each comparison; what is ``measured``, with its unit; and the number of
        ``seeds``. Empty texts and 0 seeds where nothing could be compared.

    Raises:
        ValueError: there is no such claim.

    Example:
        >>> from dropout_zoo.studies import claims_table
        >>> claims_table(["adds-to-l2"])["verdict"].tolist()
        ['supported']
    """
    import pandas as pd

    rows = {}
    for claim in list_claims() if names is None else map(get_claim, names):
        outcome = claim.stored_outcome()
        rows[claim.statement] = {
            "verdict": outcome.verdict,
            "effect": outcome.value,
            "measured": outcome.effects[0].unit if outcome.effects else "",
            "seeds": outcome.effects[0].difference.pairs if outcome.effects else 0,
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index.name = "claim"
    return table
