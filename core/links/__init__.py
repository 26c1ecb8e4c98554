"""How packets come in and go out: ILP over HTTP now, and the operator's HTTP API on the same port."""
