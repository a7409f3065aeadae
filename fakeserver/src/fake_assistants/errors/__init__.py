"""Every text with which the fake refuses, one small function for each, one file for each area.

Evidence is named per function: "recorded" is a real response, "quoted" a real text seen in public,
"documented" what the published documentation says, "inferred" a text made in the shape of its recorded siblings,
and "the fake's own" what only a fake has to say. `docs/dev/fidelity.md` names each function, and a test holds the
two together. So nothing else is public here: a function answers a ApiProblem or a ErrorBody.
"""
