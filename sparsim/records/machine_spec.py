"""What all records of machines share: a kind, a name, a clock and a source."""

from sparsim.records.number_limits import check_above_zero
from sparsim.records.record import Record


class MachineSpec(Record, frozen=True, kw_only=True, tag_field="kind"):
    """A whole machine that plans without mappings: the base of the records that the key `machine` holds.

    Parameters
    ----------
    name : str
        Name of the machine.
    clock_mhz : float
        Clock in MHz.
    source : str, default ""
        Where the numbers come from; for the reader only.

    Raises
    ------
    SpecError
        If a number is out of range.
    """

    name: str
    clock_mhz: float
    source: str = ""

    @property
    def kind(self) -> str:
        """The kind of the machine, as documents call it."""
        return str(self.__struct_config__.tag)

    @property
    def where(self) -> str:
        """Return the name of the record in messages."""
        return f"machine {self.name}"

    def __post_init__(self) -> None:
        self.check_above_zero("clock_mhz", self.clock_mhz)

    def check_above_zero(self, field: str, value: float) -> None:
        """Refuse a number that is not above 0.

        Parameters
        ----------
        field : str
            Name of the number.
        value : float
            The number.

        Raises
        ------
        SpecError
            If the number is 0, negative, infinite, or none.
        """
        check_above_zero(self.where, field, value)
