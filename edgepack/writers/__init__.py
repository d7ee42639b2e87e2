"""Writers: a legalized graph in, the bytes of a file out. They translate and decide nothing."""
