"""What the agent counts on a real GPU against what is known to have been computed there.

`python -m bench.gpu_truth` needs an NVIDIA GPU and PyTorch, no network, and less than nine minutes; anywhere else it
says so and exits with 3. It reads the GPU's settings and never changes one.
"""
