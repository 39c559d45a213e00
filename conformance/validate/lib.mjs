// What both validators are given: the files to look at, and the profile that each resource should meet.
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

export const BASE = 'https://tautline.example/fhir';

/** Resources of a folder (JSON and NDJSON, any depth) or of one file: [name, resource]. */
export function* resources(path) {
  if (statSync(path).isDirectory()) {
    for (const name of readdirSync(path).sort()) {
      if (name !== 'node_modules' && name !== 'package.json') {
        yield* resources(join(path, name));
      }
    }
  } else if (path.endsWith('.ndjson')) {
    for (const [i, line] of readFileSync(path, 'utf8').split('\n').entries()) {
      if (line.trim()) {
        yield [`${path}:${i + 1}`, JSON.parse(line)];
      }
    }
  } else if (path.endsWith('.json')) {
    const resource = JSON.parse(readFileSync(path, 'utf8'));
    if (resource.resourceType) {
      yield [path, resource];
    }
  }
}

const coded = (concept, system) => concept?.coding?.find((coding) => coding.system === `${BASE}/CodeSystem/${system}`)?.code;

/** Our own profile for a whole finding; undefined for anything else. */
export function profileOf(resource) {
  if (resource.meta?.tag?.some((tag) => tag.code === 'SUBSETTED')) {
    return undefined;
  }
  const name = {
    Observation: () => {
      const code = coded(resource.code, 'signal');
      return code && (['pattern', 'judgement'].includes(code) ? code : 'signal');
    },
    Flag: () => coded(resource.code, 'flag') && 'finding-flag',
    Provenance: () => resource.agent?.[0]?.who?.reference === 'Device/tautline' && 'finding-provenance',
  }[resource.resourceType]?.();
  return name ? `${BASE}/StructureDefinition/${name}` : undefined;
}
