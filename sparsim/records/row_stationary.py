"""Records of row-stationary mappings by the parameters that the publications of Eyeriss v1 use."""

from sparsim.records.number_limits import check_whole
from sparsim.records.record import Record

PARAMETERS = ("m", "n", "e", "p", "q", "r", "t", "g")


class RowStationary(Record, frozen=True, kw_only=True):
    """The parameters of a row-stationary mapping of one layer.

    A set of PEs has a row for each row of the filter, and a column for each row of outputs that it works on.
    A pass works on `n` images with `p` times `t` filters, `q` times `r` channels and `e` rows of outputs.

    Parameters
    ----------
    m : int
        Filters whose psums are in the global buffer at the same time.
    n : int
        Images of a pass.
    e : int
        Rows of outputs of a set; a set that is wider than the array is cut into strips, one above the other.
    p : int
        Filters of a set.
    q : int
        Channels of a set.
    r : int
        Sets that work on different channels.
    t : int
        Sets that work on different filters.
    g : int, default 1
        Sets that work on different groups of channels.
    f : int, default None
        Columns of outputs of a pass; by default all.

    Raises
    ------
    SpecError
        If a number is less than 1.

    Notes
    -----
    The names are those of Chen, Krishna, Emer, Sze: Eyeriss, JSSC 52(1) 2017, table III; `g` stands for the
    groups that Chen, Yang, Emer, Sze: Eyeriss v2, JETCAS 9(2) 2019 maps to different parts of the array, and
    `f` for a part of F.
    """

    m: int
    n: int
    e: int
    p: int
    q: int
    r: int
    t: int
    g: int = 1
    f: int | None = None

    def __post_init__(self) -> None:
        for name in (*PARAMETERS, "f"):
            check_whole("row-stationary mapping", name, getattr(self, name), 1)


class RowStationaryMappings(Record, frozen=True, kw_only=True):
    """Row-stationary mappings of the layers of a network.

    Parameters
    ----------
    source : str, default ""
        Where the parameters come from; for the reader only.
    layers : dict of str to RowStationary
        The parameters by the name of the layer.
    printed : dict of str to RowStationary, default {}
        Parameters as the source prints them where `layers` has others; for the reader only.
    """

    source: str = ""
    layers: dict[str, RowStationary]
    printed: dict[str, RowStationary] = {}
