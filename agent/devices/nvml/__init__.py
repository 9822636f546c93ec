"""NVIDIA GPUs over NVML: the best method that each device offers, found by trying and never by name.

`gpm-cycles` reads the hardware's own cycle counters, `gpm` differences two samples and multiplies by the SM clock,
`busy` gives bounds only. `backend` reads as the main flow.
"""
