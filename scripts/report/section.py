"""What experiments hand to the page."""

import dataclasses

YES, NO, PARTLY = "yes", "no", "partly"
NOT_IN_PAPER = "not in the paper's abstract"
NOT_MEASURED = "not measured"


@dataclasses.dataclass
class Figure:
    name: str  # of the files, without suffix
    caption: str
    plot: object  # matplotlib's figure


@dataclasses.dataclass
class Table:
    caption: str
    header: list
    rows: list  # of lists of text; in the documentation, too, if it is the reproduction's
    reproduction: bool = False


@dataclasses.dataclass
class Section:
    title: str
    paper: str  # what the paper says, as far as its abstract tells
    seen: list  # sentences, computed from the results: what this machine shows
    agrees: str
    figures: list = dataclasses.field(default_factory=list)
    tables: list = dataclasses.field(default_factory=list)


def agreement(claims):
    """The verdict on claims that hold or not."""
    if not claims:
        return NOT_MEASURED
    return YES if all(claims) else PARTLY if any(claims) else NO
