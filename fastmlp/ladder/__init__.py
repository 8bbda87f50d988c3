"""The ladder: one table of networks on which fastmlp is compared with other libraries, in losses and in time."""
