// npm fhirclient, unmodified: as an app that a person signs in to, and as a system with a token of Backend Services.
//
// usage: node smart.mjs FHIR_BASE PRIVATE_KEY.jwk.json   (a client "system" of ours with that key, and Patient p1)
import assert from "node:assert";
import crypto from "node:crypto";
import fs from "node:fs";
import { createRequire } from "node:module";

const FHIR = createRequire(import.meta.url)("fhirclient");
const [base, keyFile] = process.argv.slice(2);

// A node application: requests in, a redirect out, a session's storage.
const kept = new Map();
const storage = {
  get: async (key) => kept.get(key),
  set: async (key, value) => (kept.set(key, value), value),
  unset: async (key) => kept.delete(key),
};
const request = (url) => ({ url, headers: { host: "app.localhost" }, socket: {} });
function response() {
  const answer = { location: undefined };
  answer.writeHead = (_, headers) => void (answer.location = headers.location);
  answer.end = () => {};
  return answer;
}

async function signedIn(scope) {
  kept.clear();
  const begun = response();
  const redirectUri = "http://app.localhost/back";
  await FHIR(request("/"), begun, storage).authorize({ iss: base, clientId: "app", scope, redirectUri, pkceMode: "required" });
  assert(begun.location.includes("code_challenge_method=S256"), begun.location);
  const back = (await fetch(begun.location, { redirect: "manual" })).headers.get("location");
  const url = new URL(back);
  assert(url.href.startsWith(redirectUri), back);
  return FHIR(request(url.pathname + url.search), response(), storage).ready();
}

async function refused(status, work) {
  const error = await work().then(() => undefined, (error) => error);
  assert.strictEqual(error?.statusCode ?? error?.status, status, `not refused with ${status}: ${error}`);
}

async function asAnApp() {
  const app = await signedIn("launch/patient patient/*.rs");
  assert.strictEqual(app.patient.id, "p1");
  assert.strictEqual((await app.patient.read()).id, "p1");
  const flags = await app.patient.request("Flag?status=active");
  assert(flags.entry.length > 0 && flags.entry.every((one) => one.resource.subject.reference === "Patient/p1"));
  // All pages, flat; and with what they refer to.
  const tasks = await app.request("Task?patient=p1&_count=3", { pageLimit: 0, flat: true });
  assert(tasks.length > 3 && tasks.every((task) => task.for.reference === "Patient/p1"), "pages");
  const [one] = await app.request({ url: "Flag?patient=p1" }, { flat: true, resolveReferences: "subject" });
  assert.strictEqual(one.subject.resourceType, "Patient");
  // Another's is not there; what was not granted is not done.
  await refused(404, () => app.request("Patient/p2"));
  await refused(403, () => app.update({ resourceType: "Patient", id: "p1", active: true }));
  const narrow = await signedIn("launch/patient patient/Flag.rs");
  assert((await narrow.patient.request("Flag")).entry.length > 0);
  await refused(403, () => narrow.patient.read());
}

async function asASystem() {
  const jwk = JSON.parse(fs.readFileSync(keyFile, "utf8"));
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const { token_endpoint: endpoint } = await (await fetch(`${base}/.well-known/smart-configuration`)).json();
  // The issuer's endpoint is for people; ours for systems stands beside the FHIR base.
  const url = base.replace(/\/fhir$/, "/auth/token");
  assert(endpoint, "no token endpoint");
  const claims = { iss: "system", sub: "system", aud: url, jti: crypto.randomUUID(), exp: Math.floor(Date.now() / 1000) + 200 };
  const signed = `${part({ alg: "ES384", typ: "JWT", kid: jwk.kid })}.${part(claims)}`;
  const key = crypto.createPrivateKey({ key: jwk, format: "jwk" });
  const signature = crypto.sign("sha384", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" }).toString("base64url");
  const form = new URLSearchParams({
    grant_type: "client_credentials",
    scope: "system/Flag.rs",
    client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    client_assertion: `${signed}.${signature}`,
  });
  const tokenResponse = await (await fetch(url, { method: "POST", body: form })).json();
  assert(tokenResponse.access_token, JSON.stringify(tokenResponse));
  const system = FHIR(request("/"), response(), storage).client({ serverUrl: base, tokenResponse });
  const flags = await system.request("Flag?_count=1", { pageLimit: 0, flat: true });
  assert(new Set(flags.map((flag) => flag.subject.reference)).size === 2, "of everybody");
  await refused(403, () => system.request("Patient/p1"));
  const forged = FHIR(request("/"), response(), storage).client({ serverUrl: base, tokenResponse: { access_token: "forged" } });
  await refused(401, () => forged.request("Flag"));
}

await asAnApp();
await asASystem();
console.log("fhirclient finds what it expects");
