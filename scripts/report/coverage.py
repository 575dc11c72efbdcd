"""Whether every kernel of the list has a result."""

import re

import generate


def missing(results):
    """'<kernel> on <isa>' of those that have none, on the instruction sets of this machine."""
    measured = {match.groups() for each in results.measurements
                if (match := re.match(r"smx_(\w+)_ukernel__([a-z0-9]+)_", each.fields["what"]))}
    return [f"{kernel.name} on {isa}" for isa in results.isas for kernel in generate.load_list()["KERNELS"]
            if (kernel.name.replace("-", "_"), isa) not in measured]
