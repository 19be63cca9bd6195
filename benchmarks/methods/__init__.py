"""Every method of the package trains something real; docs/methods.md is written from what came out.

    python -m benchmarks.methods              # trains what results.jsonl lacks, then writes docs/methods.md
    python -m benchmarks.methods --quick      # one seed, an epoch, nothing written: does it run?

A *method* (rows.py) is one key of a configuration set otherwise than in the network that all of its section start from. Rules of
credit assignment have a page of their own (benchmarks/learning.py).
"""
