"""What a metric is given: the output of a network, or its records."""

from collections.abc import Sequence

from ..errors import ConfigurationError
from ..typing import LayerRecord, NetworkOutput

__all__ = ["records_of"]


def records_of(output: NetworkOutput | Sequence[LayerRecord]) -> Sequence[LayerRecord]:
    """The records.

    Raises:
        ConfigurationError: there are none, or something else came.
    """
    records = output.records if isinstance(output, NetworkOutput) else output
    if isinstance(records, LayerRecord):
        raise ConfigurationError(f"one record, of {records.name!r}, and a list of records is expected: [record].")
    if not isinstance(records, list | tuple) or not records:
        raise ConfigurationError(
            "no records to count; pass what the network returned: a NetworkOutput, or its records."
        )
    for record in records:
        if not isinstance(record, LayerRecord):
            raise ConfigurationError(
                f"a {type(record).__name__} among the records; pass what the network returned: a NetworkOutput, or its records."
            )
    return records
