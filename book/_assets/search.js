// What Sphinx's searchtools.js, loaded later and on its page alone, takes from here: chapters come before notebooks and before
// the reference, and neither formulas nor plotting code are shown as source.
"use strict";

var Scorer = {
  score: ([page, , , , score]) => score - (/^(api|genindex|status|benchmarks|inside|limits)$/.test(page) ? 20 : page.startsWith("figures/") ? 10 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};

document.addEventListener("DOMContentLoaded", () => {
  if (typeof Search === "undefined") return;
  const plain = Search.htmlToText;
  Search.htmlToText = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    for (const formula of page.querySelectorAll(".math")) formula.textContent = "…";
    for (const beside of page.querySelectorAll(".cell_input, #jb-print-docs-body, nav")) beside.remove();
    return plain(page.documentElement.outerHTML, anchor);
  };
});
