// Asks the browser for a passkey: what the API sends goes in, what it wants back comes out, both as JSON.
(() => {
  const bytes = (text) =>
    Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (sign) => sign.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replaceAll("+", "-")
      .replaceAll("/", "_")
      .replaceAll("=", "");
  const named = (list) => (list ?? []).map((one) => ({ ...one, id: bytes(one.id) }));
  const PARTS = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];

  globalThis.operisPasskey = async (asked, isNew) => {
    try {
      if (!navigator.credentials || !globalThis.PublicKeyCredential) return { failure: "NotSupportedError" };
      const publicKey = { ...asked, challenge: bytes(asked.challenge) };
      if (isNew) {
        publicKey.user = { ...asked.user, id: bytes(asked.user.id) };
        publicKey.excludeCredentials = named(asked.excludeCredentials);
      } else {
        publicKey.allowCredentials = named(asked.allowCredentials);
      }
      const made = await (isNew ? navigator.credentials.create({ publicKey }) : navigator.credentials.get({ publicKey }));
      const parts = PARTS.filter((part) => made.response[part]);
      const response = Object.fromEntries(parts.map((part) => [part, text(made.response[part])]));
      return { credential: { id: made.id, rawId: text(made.rawId), type: made.type, response } };
    } catch (error) {
      return { failure: error?.name ?? "Error" };
    }
  };
})();
