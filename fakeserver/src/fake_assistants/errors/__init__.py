"""Every error of the API, one small function for each, one file for each area.

Evidence is named per function: "recorded" is a real response, "quoted" a real text seen in public,
"documented" what the published documentation says, "inferred" a text made in the shape of its recorded siblings,
and "the fake's own" an error that the real API does not have. `docs/dev/fidelity.md` names each function, which a test
checks. So nothing else is public here: each function returns an ApiProblem or an ErrorBody.
"""
