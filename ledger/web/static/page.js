// Follows the ledger, shows local times, switches the theme. Every page is whole without it.
"use strict";

const $ = (id) => document.getElementById(id);

// -- theme ----------------------------------------------------------------------------------------------------------
const dark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";

function themed() {
  const button = $("theme");
  button.hidden = false;
  button.textContent = isDark() ? "Light" : "Dark";
  button.setAttribute("aria-label", `Switch to the ${isDark() ? "light" : "dark"} theme`);
  document.dispatchEvent(new Event("themed"));
}

$("theme").addEventListener("click", () => {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  try { localStorage.setItem("theme", theme); } catch { /* it holds for this page alone */ }
  themed();
});
dark.addEventListener("change", themed);

// -- times: UTC is shown, the reader's own time is said beside it ------------------------------------------------------
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "local time";
const local = new Intl.DateTimeFormat(undefined, {dateStyle: "medium", timeStyle: "short"});

function localized(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.title = `${local.format(new Date(time.dateTime))} (${zone})`;
  }
  const fresh = document.querySelector("#fresh time");
  const now = fresh ? new Date(fresh.dateTime) : new Date();
  const here = new Intl.DateTimeFormat(undefined, {timeStyle: "short"}).format(now);
  $("zone").textContent = `; here (${zone}) it was ${here} then`;
}

// -- numbers: one open at a time, closed by Escape or a click elsewhere -------------------------------------------------
document.addEventListener("click", (event) => {
  for (const open of document.querySelectorAll("details.num[open]")) {
    if (!open.contains(event.target)) open.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const open = document.querySelector("details.num[open]");
  if (open) { open.open = false; open.querySelector("summary").focus(); }
});

// -- live ---------------------------------------------------------------------------------------------------------------
function say(text) {
  const place = $("connection");
  place.hidden = !text;
  if (place.textContent !== text) place.textContent = text;
}

const parts = () => [$("fresh"), ...document.querySelectorAll(".swap[id]")];
const shown = new Map(parts().map((part) => [part.id, part.innerHTML]));
let fetching = false;
let again = false;

// What has changed is put in the place of what was shown; what the reader has open or typed stays.
async function refresh() {
  if (fetching) { again = true; return; }
  fetching = true;
  try {
    const answer = await fetch(location.href, {headers: {accept: "text/html"}});
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!answer.ok && answer.status !== 404) throw new Error(answer.statusText);
    document.body.dataset.version = fresh.body.dataset.version ?? "";
    for (const now of parts()) {
      const then = fresh.getElementById(now.id);
      if (!then || then.innerHTML === shown.get(now.id) || busy(now)) continue;
      shown.set(now.id, then.innerHTML);
      const open = [...now.querySelectorAll("details[open][id]")].map((item) => item.id);
      const focused = now.contains(document.activeElement) ? document.activeElement.id : "";
      now.innerHTML = then.innerHTML;
      for (const id of open) if ($(id)) $(id).open = true;
      if (focused) $(focused)?.focus();
      localized(now);
    }
    localized(document);
    document.dispatchEvent(new Event("refreshed"));
    say("");
  } catch {
    say("The server does not answer. Trying again …");
    setTimeout(refresh, 3000);
  } finally {
    fetching = false;
    if (again) { again = false; refresh(); }
  }
}

const busy = (part) => part.querySelector("details.num[open], input:focus, select:focus") !== null;

function follow(address) {
  const source = new EventSource(address);
  source.addEventListener("version", (event) => {
    say("");
    if (String(JSON.parse(event.data).version) !== document.body.dataset.version) refresh();
  });
  source.onerror = () => {
    say("The connection is lost. Trying again …");
    if (source.readyState === EventSource.CLOSED) { source.close(); setTimeout(() => follow(address), 3000); }
  };
  addEventListener("pagehide", () => source.close());
}

themed();
localized(document);
if (document.body.dataset.live) follow(document.body.dataset.live);
if (document.body.dataset.retry) setTimeout(() => location.reload(), 1000 * document.body.dataset.retry);
