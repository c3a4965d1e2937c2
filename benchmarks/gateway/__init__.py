"""What a call costs in a gateway, measured in CPU time of its process: ours, a bare pass-through, and rivals."""
