"""Peers side by side, one command each; results are written with machine, versions and seeds."""
