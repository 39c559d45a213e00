"""Validates resources with pyrofile-validator: structure, bindings, narrative; and our own profiles.

usage: pyrofile.py LAYOUT_DIR [--refuse] PATH…      (--refuse: each must be found invalid)
"""

import collections
import contextlib
import io
import json
import pathlib
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
    if resource["resourceType"] == "Bundle":
        copy["entry"] = [{**entry, "resource": claim(entry["resource"])} for entry in resource.get("entry", [])]
        if not copy["entry"]:
            del copy["entry"]
    return copy


def main(layout, *paths):
    refuse = paths[0] == "--refuse"
    paths = paths[1:] if refuse else paths
    folders = [str(pathlib.Path(layout) / "r4"), str(pathlib.Path(layout) / "ours")]
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
            with contextlib.redirect_stdout(io.StringIO()):
                report = validator.validate_resource(claim(resource))
            passed += bool(report.errors) == refuse
            if refuse and not report.errors:
                print(f"{name}: not refused")
            if not refuse:
                for issue in report.errors:
                    print(f"{name}: {issue.code} {issue.path} {issue.message}")
            warnings.update(issue.code for issue in report.issues if issue.severity.value == "warning")
    print(f"pyrofile: {passed} of {seen} as they should be", json.dumps(kinds), "warnings", json.dumps(warnings))
    return 0 if seen and passed == seen else 1


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
