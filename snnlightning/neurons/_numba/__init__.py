"""What the ``<neuron>__numba.py`` files share: kernels, how they are compiled, threads, and the autograd node around them.

``layer.run`` is the entry; ``kernels`` holds the loops; ``compiling`` turns them into machine code at first use and keeps it
on disk; ``pool`` spreads samples over threads.
"""
