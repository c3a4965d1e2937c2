"""Answers from passages: every sentence quoted, judged, and left out when nothing bears it out."""
