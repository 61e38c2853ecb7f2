// Runs before the page is drawn: tells the server the viewer's zone, and the page its language.
(() => {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  document.cookie = `operis_zone=${encodeURIComponent(zone)}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
  const chosen = /(?:^|; )operis_language=(en|vi)/.exec(document.cookie)?.[1];
  document.documentElement.lang = chosen ?? (navigator.language?.startsWith("vi") ? "vi" : "en");

  // Our dialogs are opened by state rather than by a trigger, so nothing else knows where the focus came from.
  let opener = null;
  document.addEventListener("focusin", ({ target }) => {
    if (!target.closest?.("[role=dialog], [data-radix-focus-guard], [data-sonner-toaster]")) opener = target;
  });
  globalThis.operisSendFile = async (address, name) => {
    const file = document.getElementById(name).files[0];
    if (!file) return { name: "", failure: "" };
    try {
      const answer = await fetch(address, { method: "POST", body: file });
      return answer.ok ? { name: file.name, failure: "" } : { name: "", failure: await answer.text() };
    } catch (error) {
      return { name: "", failure: String(error) };
    }
  };
  globalThis.operisReturnFocus = () => setTimeout(() => opener?.isConnected && opener.focus(), 0);
})();
