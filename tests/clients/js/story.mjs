// What both clients are shown: made-up patients with one number each, and a transaction that ties an order to its patient by a urn:uuid.
export const SYSTEM = "urn:x:clients";
export const BASE = process.env.FHIR_BASE;

export function patient(number, more = {}) {
  return { resourceType: "Patient", identifier: [{ system: SYSTEM, value: number }], name: [{ family: "Marlowe" }], ...more };
}

export function order(subject, text) {
  return { resourceType: "ServiceRequest", status: "active", intent: "order", code: { text }, subject: { reference: subject } };
}

export function referral(number) {
  const urn = "urn:uuid:0c6f1a52-5c1d-4d0e-9d0f-2f7b3a8f1c22";
  const ifNoneExist = `identifier=${SYSTEM}|${number}`;
  return {
    resourceType: "Bundle",
    type: "transaction",
    entry: [
      { fullUrl: urn, resource: patient(number), request: { method: "POST", url: "Patient", ifNoneExist } },
      { resource: order(urn, "second opinion"), request: { method: "POST", url: "ServiceRequest" } },
    ],
  };
}
