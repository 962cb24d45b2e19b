"""What a decision costs: this library, its floors and its peers, in one run (`python -m benchmarks`, `make bench`)."""
