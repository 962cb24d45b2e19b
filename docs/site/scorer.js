/* What a reader looks for is most often how to do a thing, then what exactly it does. */
var Scorer = {
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,

  score([page, title, , , score, , kind]) {
    const folders = { "docs/tutorial": 8, "docs/how-to": 8, "docs/ja": 6, "docs/reference": 3, "docs/explanation": 2 };
    const folder = page.slice(0, page.lastIndexOf("/"));
    const words = splitQuery((document.querySelector('input[name="q"]')?.value ?? "").toLowerCase());
    const named = words.filter((word) => title.toLowerCase().includes(word)).length / (words.length || 1);
    return (kind === "object" ? score / 2 : score) + (folders[folder] ?? -5) + 10 * named;
  },
};
