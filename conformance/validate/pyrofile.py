"""Validates resources with pyrofile-validator: structure, bindings, narrative; and our own profiles.

usage: pyrofile.py LAYOUT_DIR [--refuse] PATH…      (--refuse: each must be found invalid)
"""

import collections
import contextlib
import io
import json
import pathlib
import re
import sys

# This file is named after what it calls: its own folder must not shadow that.
sys.path = [entry for entry in sys.path if pathlib.Path(entry or ".").resolve() != pathlib.Path(__file__).resolve().parent]
from pyrofile_validator import Validator  # noqa: E402
from pyrofile_validator.config import ValidatorConfig  # noqa: E402

BASE = "https://tautline.example/fhir"


def resources(path: pathlib.Path):
    if path.is_dir():
        for entry in sorted(path.iterdir()):
            if entry.name not in ("node_modules", "package.json"):
                yield from resources(entry)
    elif path.suffix == ".ndjson":
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.strip():
                yield f"{path}:{number}", json.loads(line)
    elif path.suffix == ".json":
        resource = json.loads(path.read_text())
        if "resourceType" in resource:
            yield str(path), resource


def coded(concept, system):
    for coding in (concept or {}).get("coding", []):
        if coding.get("system") == f"{BASE}/CodeSystem/{system}":
            return coding.get("code")
    return None


def profile_of(resource):
    kind, name = resource["resourceType"], None
    if any(tag.get("code") == "SUBSETTED" for tag in resource.get("meta", {}).get("tag", [])):
        return None
    if kind == "Observation" and (code := coded(resource.get("code"), "signal")):
        name = code if code in ("pattern", "judgement") else "signal"
    elif kind == "Flag" and coded(resource.get("code"), "flag"):
        name = "finding-flag"
    elif kind == "Provenance" and resource.get("agent", [{}])[0].get("who", {}).get("reference") == "Device/tautline":
        name = "finding-provenance"
    return f"{BASE}/StructureDefinition/{name}" if name else None


def claim(resource):
    """A copy that claims our profile, so that it is held to it."""
    copy = dict(resource)
    if profile := profile_of(resource):
        copy["meta"] = {**resource.get("meta", {}), "profile": [profile]}
    return copy


# What version 0.3.0 refuses though R4 allows it: code of the error, place. @medplum/core looks at these places too.
KNOWN = [
    # A choice in `answerOption`: it refuses the least Questionnaire that has one.
    ("cardinality.min", r"Questionnaire\.item.*\.answerOption\[\d+\]\.value\[x\]"),
    # It adds up over all parents that repeat what may stand once in each.
    ("profile.element.cardinality.max", r"\w+\.\w+\..+"),
    # A DELETE has none.
    ("bundle.entry.resource", r"Bundle\.entry\[\d+\]\.resource"),
    # It looks for the Questionnaire in what it is given with the response, nowhere else.
    ("questionnaire.unresolved", r"QuestionnaireResponse\.questionnaire"),
    # bdl-7 excepts histories.
    ("bundle.fullurl.duplicate", r"Bundle\.entry\.fullUrl"),
]


def is_known(error):
    return any(error.code == code and re.fullmatch(place, error.path) for code, place in KNOWN)


def shape(value):
    """What two resources have in common that differ in names, numbers, instants and wording alone."""
    if isinstance(value, dict):
        return tuple(sorted((key, shape(inner)) for key, inner in value.items()))
    if isinstance(value, list):
        return ("list", tuple(sorted({shape(inner) for inner in value}, key=repr)))
    if isinstance(value, str):
        for kind, pattern in KINDS.items():
            if pattern.fullmatch(value):
                return kind
        return "text" if " " in value or any(c.isdigit() for c in value) and ":" not in value else value
    return type(value).__name__


KINDS = {
    "instant": re.compile(r"\d{4}-\d\d-\d\dT.*"),
    "date": re.compile(r"\d{4}(-\d\d){0,2}"),
    "reference": re.compile(r"(https?://(127|\[::1\]).*|)([A-Z][A-Za-z]+/[A-Za-z0-9.-]+(/_history/\d+)?)"),
    "link": re.compile(r"https?://127.*"),
}


def main(layout, *paths):
    refuse = paths[0] == "--refuse"
    paths = paths[1:] if refuse else paths
    folders = [str(pathlib.Path(layout) / "r4"), str(pathlib.Path(layout) / "ours")]
    # One of each shape is looked at here: this validator takes a tenth of a second for each. medplum.mjs takes all.
    shapes = set()

    def parts(resource):
        """The resources of a Bundle one by one, then the Bundle with one entry of each shape."""
        if resource["resourceType"] == "Bundle":
            alike = {}
            for entry in resource.get("entry", []):
                for inner in (entry.get("resource"), entry.get("response", {}).get("outcome")):
                    if inner:
                        yield from parts(inner)
                around = {key: value for key, value in entry.items() if key != "resource"}
                alike[shape(around), entry.get("resource", {}).get("resourceType")] = entry
            if alike:
                resource = {**resource, "entry": list(alike.values())}
        if (key := shape(resource)) not in shapes or refuse:
            shapes.add(key)
            yield resource

    validator = Validator(ValidatorConfig.load_dict({
        "fhirVersion": "4.0.1",
        "localPackagePaths": folders,
        "terminology": {"mode": "local"},
    }))
    seen = passed = 0
    kinds, warnings = collections.Counter(), collections.Counter()
    for path in paths:
        for name, resource in resources(pathlib.Path(path)):
            seen += 1
            kinds[resource["resourceType"]] += 1
            # Its FHIRPath engine prints what an invariant traces.
            errors = []
            for part in parts(resource):
                with contextlib.redirect_stdout(io.StringIO()):
                    report = validator.validate_resource(claim(part))
                errors += [error for error in report.errors if not is_known(error)]
                warnings.update(issue.code for issue in report.issues if issue.severity.value == "warning")
            passed += bool(errors) == refuse
            if refuse and not errors:
                print(f"{name}: not refused")
            if not refuse:
                for issue in errors:
                    print(f"{name}: {issue.code} {issue.path} {issue.message}")
    print(f"pyrofile: {passed} of {seen} as they should be, {len(shapes)} shapes", json.dumps(kinds), "warnings", json.dumps(warnings))
    return 0 if seen and passed == seen else 1


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
