"""The loops, as Numba compiles them at first use: ``kernels`` and ``adaptive`` hold them, ``compiling`` makes machine code of
them and keeps it on disk, ``code`` hands them out."""
