"""Published claims, run again: does this package give what the papers and tutorials say?

    python -m benchmarks.published              # trains what results.jsonl lacks, then writes docs/published.md
    python -m benchmarks.published --quick      # one seed, few epochs, nothing written: does it run?

A *recipe* (recipes.py) is one network, one data set and one way to train; it is trained with several seeds, one JSON line
each. A *claim* (claims.py) is a number made from recipes' results, with the band in which it has to lie. A claim outside its
band is printed as not reproduced.
"""
