"""The in-house neural networks, their losses and samplers: torch only, each file short enough to read in one sitting."""
