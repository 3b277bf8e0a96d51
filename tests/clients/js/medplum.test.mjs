// @medplum/core's MedplumClient, unmodified: only its addresses are set.
import assert from "node:assert/strict";
import test from "node:test";

globalThis.WebSocket ??= class {}; // Node 20 has none: @medplum/core names it when it is loaded and uses it for what is not tested here
const { MedplumClient } = await import("@medplum/core");
const { BASE, SYSTEM, order, patient, referral } = await import("./story.mjs");

const medplum = new MedplumClient({ baseUrl: BASE.replace(/fhir$/, ""), fhirUrlPath: "fhir", cacheTime: 0 });

async function refusal(promise) {
  const fault = await promise.then(() => assert.fail("it was not refused"), (fault) => fault);
  return fault.outcome.issue[0];
}

test("create, read, update, vread, history, patch, delete, 410", async () => {
  const made = await medplum.createResource(patient("MP-1"));
  assert.deepEqual(await medplum.readResource("Patient", made.id), made);
  const changed = await medplum.updateResource({ ...made, gender: "female" });
  assert.equal(changed.meta.versionId, "2");
  const patched = await medplum.patchResource("Patient", made.id, [
    { op: "test", path: "/gender", value: "female" },
    { op: "add", path: "/active", value: true },
  ]);
  assert.deepEqual([patched.active, patched.meta.versionId], [true, "3"]);
  assert.deepEqual(await medplum.readVersion("Patient", made.id, "1"), made);
  const history = await medplum.readHistory("Patient", made.id);
  assert.deepEqual(history.entry.map((entry) => entry.resource.meta.versionId), ["3", "2", "1"]);
  await medplum.deleteResource("Patient", made.id);
  const gone = await refusal(medplum.readResource("Patient", made.id));
  assert.equal(gone.code, "deleted");
});

test("what is not changed makes no version", async () => {
  const made = await medplum.createResource(patient("MP-2"));
  const same = await medplum.updateResource(made);
  assert.equal(same.meta.versionId, "1");
});

test("conditional create and upsert", async () => {
  const where = `identifier=${SYSTEM}|MP-3`;
  const made = await medplum.createResourceIfNoneExist(patient("MP-3"), where);
  const again = await medplum.createResourceIfNoneExist(patient("MP-3"), where);
  assert.equal(again.id, made.id);
  const changed = await medplum.upsertResource(patient("MP-3", { active: true }), where);
  assert.deepEqual([changed.id, changed.meta.versionId], [made.id, "2"]);
  const other = await medplum.upsertResource(patient("MP-4"), `identifier=${SYSTEM}|MP-4`);
  assert.equal(other.meta.versionId, "1");
  const several = await medplum.createResource(patient("MP-3")).then(() => refusal(medplum.upsertResource(patient("MP-3"), where)));
  assert.equal(several.code, "multiple-matches");
});

test("a version that is not the newest is refused", async () => {
  const made = await medplum.createResource(patient("MP-5"));
  await medplum.updateResource({ ...made, active: true });
  const refused = await refusal(medplum.updateResource({ ...made, active: false }, { headers: { "If-Match": 'W/"1"' } }));
  assert.equal(refused.code, "conflict");
});

test("a transaction, and searches: one, all pages, several types, included", async () => {
  const answer = await medplum.executeBatch(referral("MP-6"));
  assert.deepEqual(answer.entry.map((entry) => entry.response.status), ["201 Created", "201 Created"]);
  const owner = await medplum.searchOne("Patient", { identifier: `${SYSTEM}|MP-6` });
  const subject = `Patient/${owner.id}`;
  for (const text of ["a", "b", "c", "d"]) {
    await medplum.createResource(order(subject, text));
  }
  const sizes = [];
  for await (const page of medplum.searchResourcePages("ServiceRequest", { subject, _count: "2", _sort: "-_lastUpdated" })) {
    sizes.push(page.length);
  }
  assert.deepEqual(sizes, [2, 2, 1]);
  const found = await medplum.search("ServiceRequest", { subject, _include: "ServiceRequest:subject", _total: "accurate" });
  assert.deepEqual([found.total, found.entry.length], [5, 6]);
  const everywhere = await medplum.get(medplum.fhirUrl() + `?_type=Patient,ServiceRequest&identifier=${SYSTEM}|MP-6`);
  assert.ok(everywhere.entry.some((entry) => entry.resource.id === owner.id));
});

test("a file goes up as bytes and comes down as it was", async () => {
  const data = new Uint8Array([0x25, 0x50, 0x44, 0x46, 0, 0xff]);
  const binary = await medplum.createBinary({ data, contentType: "application/pdf", filename: "slides.pdf" });
  assert.equal(binary.contentType, "application/pdf");
  const down = await medplum.download(medplum.fhirUrl("Binary", binary.id), { headers: { Accept: "application/pdf" } });
  assert.deepEqual(new Uint8Array(await down.arrayBuffer()), data);
});

test("a refusal is an OperationOutcome with its place", async () => {
  const refused = await refusal(medplum.createResource(patient("MP-7", { gender: "other-word" })));
  assert.deepEqual(refused.expression, ["Patient.gender"]);
  const unknown = await refusal(medplum.search("Patient", { identifer: "x" }));
  assert.match(unknown.details?.text ?? unknown.diagnostics, /identifier/);
});

test("$everything of a patient, and $validate", async () => {
  const made = await medplum.createResource(patient("MP-8"));
  const request = await medplum.createResource(order(`Patient/${made.id}`, "second opinion"));
  const everything = await medplum.readPatientEverything(made.id);
  assert.deepEqual(new Set(everything.entry.map((entry) => entry.resource.id)), new Set([made.id, request.id]));
  const fine = await medplum.validateResource(patient("MP-9"));
  assert.ok(fine.issue.every((issue) => issue.severity === "information"));
  const faulty = await medplum.validateResource(patient("MP-9", { gender: "other-word" }));
  assert.deepEqual(faulty.issue[0].expression, ["Patient.gender"]);
  assert.equal(await medplum.searchOne("Patient", { identifier: `${SYSTEM}|MP-9` }), undefined);
});
