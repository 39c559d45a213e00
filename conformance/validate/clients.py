"""Two FHIR clients that are not ours against a running server without patients: PyPI fhirpy and fhirclient.

usage: clients.py FHIR_BASE
"""

import asyncio
import sys

from fhirclient import client as smart
from fhirclient.models import humanname, patient
from fhirpy import AsyncFHIRClient
from fhirpy.base.exceptions import ResourceNotFound


async def by_fhirpy(base):
    fhir = AsyncFHIRClient(base)
    named = [{"system": "urn:fp", "value": "1"}]
    one = fhir.resource("Patient", id="fp1", name=[{"family": "Py"}], identifier=named)
    await one.save()
    one["gender"] = "other"
    await one.save(fields=["gender"])
    await one.refresh()
    assert one["gender"] == "other" and one["name"][0]["family"] == "Py", one
    found = fhir.resources("Patient").search(identifier="urn:fp|1")
    assert (await found.get()).id == "fp1"
    second = fhir.resources("Patient").search(identifier="urn:fp|2")
    for expected in (True, False):
        new = fhir.resource("Patient", identifier=[{"system": "urn:fp", "value": "2"}])
        _, created = await second.get_or_create(new)
        assert created == expected
    changed = fhir.resource("Patient", identifier=[{"system": "urn:fp", "value": "2"}], gender="male")
    updated, created = await second.update(changed)
    assert (updated["gender"], created) == ("male", False)
    assert await fhir.resources("Patient").count() == 2
    assert len([each async for each in fhir.resources("Patient").limit(1)]) == 2, "pages"
    task = fhir.resource("Task", status="requested", intent="order", **{"for": one.to_reference()})
    await task.save()
    with_patient = await fhir.resources("Task").include("Task", "patient").fetch_raw()
    assert [entry["search"]["mode"] for entry in with_patient["entry"]] == ["match", "include"]
    assert len(await fhir.resources("Patient").has("Task", "patient", status="requested").fetch()) == 1
    assert len((await fhir.resources("Patient").revinclude("Task", "patient").fetch_raw())["entry"]) == 3
    assert (await task["for"].to_resource()).id == "fp1"
    await task.delete()
    try:
        await fhir.reference("Patient", "none").to_resource()
        raise AssertionError("what is not there was found")
    except ResourceNotFound:
        pass
    assert await fhir.resource("Patient", gender="male").is_valid()
    assert not await fhir.resource("Patient", gender="x").is_valid()
    assert (await fhir.execute("Patient/fp1/$everything", "get"))["type"] == "searchset"


def by_fhirclient(base):
    fhir = smart.FHIRClient(settings={"app_id": "x", "api_base": base})
    assert fhir.prepare()
    one = patient.Patient.read("fp1", fhir.server)
    assert one.name[0].family == "Py"
    assert len(patient.Patient.where({"identifier": "urn:fp|1"}).perform_resources(fhir.server)) == 1
    new = patient.Patient()
    new.name = [humanname.HumanName({"family": "C"})]
    assert new.create(fhir.server)["id"]
    one.active = True
    assert one.update(fhir.server)["active"] is True
    assert len(list(patient.Patient.where({"_count": "1"}).perform_iter(fhir.server))) == 3, "pages"


if __name__ == "__main__":
    asyncio.run(by_fhirpy(sys.argv[1]))
    by_fhirclient(sys.argv[1])
    print("fhirpy and fhirclient find what they expect")
