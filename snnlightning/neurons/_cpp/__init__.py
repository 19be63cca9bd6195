"""The loops in C++, for machines with a compiler: ``loops.cpp`` is built at first use into a shared library that ctypes calls
(``building``); ``code`` hands its functions out."""
