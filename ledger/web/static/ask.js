// Ctrl + Enter asks; while the answer is on its way the button says so, and leaving the page stops the question.
"use strict";
const form = document.getElementById("ask");
const asks = form.querySelector("button.primary");
document.getElementById("sql").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(asks); }
});
form.addEventListener("submit", (event) => {
  if (event.submitter === asks) { asks.textContent = "Asking …"; asks.setAttribute("aria-busy", "true"); }
});
addEventListener("pageshow", () => { asks.textContent = "Ask"; asks.removeAttribute("aria-busy"); });
