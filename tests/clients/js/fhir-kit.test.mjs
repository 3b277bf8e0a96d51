// fhir-kit-client, unmodified.
import assert from "node:assert/strict";
import test from "node:test";
import { Client } from "fhir-kit-client";
import { BASE, SYSTEM, order, patient, referral } from "./story.mjs";

const client = new Client({ baseUrl: BASE });
const resourceType = "Patient";

async function refusal(promise) {
  const fault = await promise.then(() => assert.fail("it was not refused"), (fault) => fault);
  return [fault.response.status, fault.response.data.issue[0]];
}

test("it finds how to sign in, and what the server can do", async () => {
  assert.deepEqual(await client.smartAuthMetadata(), { authorizeUrl: undefined, tokenUrl: undefined, registerUrl: undefined });
  const statement = await client.capabilityStatement();
  assert.equal(statement.fhirVersion, "4.0.1");
});

test("create, read, vread, update, patch, histories, delete, 410", async () => {
  const made = await client.create({ resourceType, body: patient("FK-1") });
  const { id } = made;
  const { response } = Client.httpFor(made);
  assert.equal(response.status, 201);
  assert.equal(response.headers.get("location"), `${BASE}/Patient/${id}/_history/1`);
  assert.deepEqual(await client.read({ resourceType, id }), made);
  const changed = await client.update({ resourceType, id, body: { ...made, gender: "female" } });
  assert.equal(changed.meta.versionId, "2");
  const jsonPatch = [{ op: "replace", path: "/gender", value: "unknown" }];
  const patched = await client.patch({ resourceType, id, jsonPatch });
  assert.deepEqual([patched.gender, patched.meta.versionId], ["unknown", "3"]);
  assert.deepEqual(await client.vread({ resourceType, id, version: "1" }), made);
  for (const asked of [{ resourceType, id }, { resourceType }, {}]) {
    const history = await client.history(asked);
    assert.equal(history.type, "history");
    assert.equal(history.entry[0].resource.id, id);
  }
  await client.delete({ resourceType, id });
  assert.equal((await refusal(client.read({ resourceType, id })))[0], 410);
});

test("conditions: create, update, read, delete; a version that is not the newest", async () => {
  const where = `identifier=${SYSTEM}|FK-2`;
  const headers = { "If-None-Exist": where };
  const made = await client.create({ resourceType, body: patient("FK-2"), options: { headers } });
  const again = await client.create({ resourceType, body: patient("FK-2"), options: { headers } });
  assert.deepEqual([again.id, Client.httpFor(again).response.status], [made.id, 200]);
  const searchParams = { identifier: `${SYSTEM}|FK-2` };
  const changed = await client.update({ resourceType, searchParams, body: patient("FK-2", { active: true }) });
  assert.deepEqual([changed.id, changed.meta.versionId], [made.id, "2"]);
  const stale = client.update({ resourceType, id: made.id, body: { ...made, active: false }, options: { headers: { "If-Match": 'W/"1"' } } });
  assert.equal((await refusal(stale))[0], 412);
  const unchanged = await client.request(`Patient/${made.id}`, { options: { headers: { "If-None-Match": 'W/"2"' } } }).catch((fault) => fault.response);
  assert.equal(unchanged.status, 304);
  await client.request(`Patient?${where}`, { method: "DELETE" });
  assert.equal((await refusal(client.read({ resourceType, id: made.id })))[0], 410);
});

test("a transaction, its references resolved, and a batch", async () => {
  const answer = await client.transaction({ body: referral("FK-3") });
  assert.deepEqual(answer.entry.map((entry) => entry.response.status), ["201 Created", "201 Created"]);
  const request = await client.request(answer.entry[1].response.location);
  const subject = await client.resolve({ reference: request.subject.reference });
  assert.equal(subject.identifier[0].value, "FK-3");
  const entry = [{ request: { method: "GET", url: `Patient/${subject.id}` } }, { request: { method: "GET", url: "Patient/none" } }];
  const batch = await client.batch({ body: { resourceType: "Bundle", type: "batch", entry } });
  assert.deepEqual(batch.entry.map((entry) => entry.response.status.slice(0, 3)), ["200", "404"]);
});

test("searches: pages, posted, compartment, over several types", async () => {
  const owner = await client.create({ resourceType, body: patient("FK-4") });
  const subject = `Patient/${owner.id}`;
  for (const text of ["a", "b", "c"]) {
    await client.create({ resourceType: "ServiceRequest", body: order(subject, text) });
  }
  const first = await client.search({ resourceType: "ServiceRequest", searchParams: { subject, _count: 2 } });
  const second = await client.nextPage({ bundle: first });
  assert.deepEqual([first.entry.length, second.entry.length, client.nextPage({ bundle: second })], [2, 1, undefined]);
  const searchParams = { identifier: `${SYSTEM}|FK-4` };
  const posted = await client.search({ resourceType, searchParams, options: { postSearch: true } });
  assert.deepEqual(posted.entry.map((entry) => entry.resource.id), [owner.id]);
  const compartment = { resourceType: "Patient", id: owner.id };
  const about = await client.search({ resourceType: "ServiceRequest", compartment, searchParams: { status: "active" } });
  assert.equal(about.entry.length, 3);
  for (const options of [{}, { postSearch: true }]) {
    const found = await client.search({ searchParams: { ...searchParams, _type: "Patient,ServiceRequest" }, options });
    assert.deepEqual(found.entry.map((entry) => entry.resource.id), [owner.id]);
  }
});

test("bytes of a Binary", async () => {
  const options = { headers: { "Content-Type": "text/plain" } };
  const binary = await client.create({ resourceType: "Binary", body: "hello", options });
  assert.deepEqual([binary.contentType, atob(binary.data)], ["text/plain", "hello"]);
});

test("operations on a resource, a type and the system", async () => {
  const { id } = await client.create({ resourceType, body: patient("FK-6") });
  const everything = await client.operation({ resourceType, id, name: "everything", method: "GET" });
  assert.deepEqual(everything.entry.map((entry) => entry.resource.id), [id]);
  const outcome = await client.operation({ resourceType, name: "$validate", input: patient("FK-7") });
  assert.ok(outcome.issue.every((issue) => issue.severity === "information"));
  const meta = await client.operation({ resourceType, id, name: "meta", method: "GET" });
  assert.equal(meta.resourceType, "Parameters");
});

test("an operation, and a refusal with its place", async () => {
  const input = { resourceType: "Bundle", type: "collection" };
  const asked = client.operation({ resourceType: "ServiceRequest", name: "completeness", input });
  assert.equal((await refusal(asked))[0], 422);
  const [status, issue] = await refusal(client.create({ resourceType, body: patient("FK-5", { gender: "other-word" }) }));
  assert.deepEqual([status, issue.expression], [422, ["Patient.gender"]]);
});
