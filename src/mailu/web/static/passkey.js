// Passkeys: asks the browser for one, or for a proof of one, and sends the form with the answer.
"use strict";

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

function described(list) {
  return (list || []).map((item) => ({ ...item, id: bytes(item.id) }));
}

async function create(options) {
  const made = await navigator.credentials.create({ publicKey: {
    ...options, challenge: bytes(options.challenge), user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: described(options.excludeCredentials),
  } });
  return { id: made.id, rawId: text(made.rawId), type: made.type, response: {
    clientDataJSON: text(made.response.clientDataJSON), attestationObject: text(made.response.attestationObject),
  } };
}

async function prove(options) {
  const proof = await navigator.credentials.get({ publicKey: {
    ...options, challenge: bytes(options.challenge), allowCredentials: described(options.allowCredentials),
  } });
  return { id: proof.id, rawId: text(proof.rawId), type: proof.type, response: {
    clientDataJSON: text(proof.response.clientDataJSON), authenticatorData: text(proof.response.authenticatorData),
    signature: text(proof.response.signature), userHandle: proof.response.userHandle && text(proof.response.userHandle),
  } };
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!window.PublicKeyCredential) continue;
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    if (form.elements.answer.value) return;
    event.preventDefault();
    const options = JSON.parse(form.dataset.options);
    try {
      const answer = form.dataset.passkey === "create" ? await create(options) : await prove(options);
      form.elements.answer.value = JSON.stringify(answer);
      form.submit();
    } catch (error) {
      form.querySelector("[data-trouble]").hidden = false;
    }
  });
}
