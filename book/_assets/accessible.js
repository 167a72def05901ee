// Names for the theme's controls that have none, or another than the one that is seen.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  for (const summary of document.querySelectorAll(".bd-sidenav summary")) {
    const page = summary.closest("li").querySelector("a").textContent.trim();
    summary.setAttribute("aria-label", `Pages below “${page}”`);
  }
  for (const button of document.querySelectorAll("button.search-button-field")) button.removeAttribute("aria-label");
  for (const list of document.querySelectorAll(".citation-list")) list.removeAttribute("role");
  for (const button of document.querySelectorAll(".theme-switch-button")) {
    button.querySelectorAll("[data-mode], .theme-switch").forEach((icon) => icon.setAttribute("aria-hidden", "true"));
  }
});

// What scrolls sideways must be within reach of the keyboard: now, and when something unfolds or the window changes.
function reach() {
  for (const box of document.querySelectorAll("mjx-container[display], div.math, .cell_output, .pst-scrollable-table-container, pre, .highlight")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else if (box.clientWidth > 0) box.removeAttribute("tabindex");
  }
}

// When formulas are set and cells folded; what unfolds is called what it says.
window.addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  reach();
  document.addEventListener("toggle", reach, true);
  window.addEventListener("resize", reach);
  for (const summary of document.querySelectorAll(".bd-content summary[aria-label]")) summary.removeAttribute("aria-label");
});

// On paper everything is unfolded, and only there.
const folded = [];
window.addEventListener("beforeprint", () => {
  for (const box of document.querySelectorAll("details:not([open])")) { box.open = true; folded.push(box); }
});
window.addEventListener("afterprint", () => { for (const box of folded.splice(0)) box.open = false; });
