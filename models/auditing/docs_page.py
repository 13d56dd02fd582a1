"""Writes the page of audit rules: ``python -m dropout_zoo.models.auditing.docs_page``."""

from __future__ import annotations

from dropout_zoo.models.auditing.rules import RULES
from dropout_zoo.models.auditing.rules.base import Rule

_HEAD = """\
# The rules of the audit

`dropout-zoo audit MODEL`, `dropout_zoo.models.audit(model)` and
`dropout_zoo.studies.examine(model, dataset)` apply these rules. Those from DZ301 on are measured:
they need data. A rule is switched off by its code: `audit(model, ignore=["DZ204"])`,
`--ignore DZ204`, or in the `pyproject.toml` of the working folder:

```toml
[tool.dropout-zoo]
ignore = ["DZ204"]
severity = "warning"  # findings from here on make the exit status 1
```

An error does harm in any model, a warning in most; a note is worth knowing. The examples begin
with `import keras` and `from keras import layers`; each is run by the tests.

<!-- made by `python -m dropout_zoo.models.auditing.docs_page > docs/audit_rules.md` -->
"""


def rules_page() -> str:
    """The page in Markdown: a table of all rules, then each with bad and good code."""
    table = ["| code | severity | what |", "|---|---|---|"]
    table += [
        f"| [{rule.code}](#{rule.code.lower()}) | {rule.severity} | {rule.title} |"
        for rule in RULES.values()
    ]
    return "\n".join([_HEAD, *table, "", *map(_section, RULES.values())])


def _section(rule: Rule) -> str:
    first, space, rest = rule.title.partition(" ")
    first = f"`{first}`" if "_" in first else first[0].upper() + first[1:]
    bad, good = ("Bad", "Good") if rule.severity != "note" else ("Reported", "Not reported")
    return f"""\
## {rule.code}

**{first}{space}{rest}** ({rule.severity}). {rule.why}

Source: {rule.source}.

{bad}:

```python
{rule.bad}
```

{good}:

```python
{rule.good}
```
"""


if __name__ == "__main__":
    print(rules_page(), end="")
