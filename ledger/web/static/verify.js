// Follows a verification by server-sent events, and shows what it found once it has ended.
"use strict";
const bar = document.getElementById("share");
if (bar) {
  const said = document.getElementById("percent");
  const events = new EventSource(bar.dataset.events);
  events.addEventListener("progress", (event) => {
    const {state, share} = JSON.parse(event.data);
    bar.value = share;
    said.textContent = `${Math.floor(share * 100)} %`;
    if (state !== "running") { events.close(); location.reload(); }
  });
  events.addEventListener("error", () => { said.textContent = "connection lost, trying again"; });
}
