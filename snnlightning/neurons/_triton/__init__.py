"""A layer over time on a GPU: Triton kernels of the same recursions that ``_fused`` describes, and the node around them."""
