"""What decisions and rows cost: this library, its floors and its peers, in one run (`make bench`)."""
