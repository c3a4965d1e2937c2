"""Values and errors of the main path: Brief, Plan, Step, Request, Output, Verdict, Artifact, Provenance, Run."""
