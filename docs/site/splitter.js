/* The words of a question, as `EnglishAndJapanese.split` of conf.py finds those of a page. */
const cjk = "\\u3005-\\u30ff\\u3400-\\u9fff\\uff66-\\uff9f";

function splitQuery(query) {
  const parts = query.match(new RegExp(`[${cjk}]+|[\\p{Letter}\\p{Number}_]+`, "gu")) ?? [];
  return parts.flatMap((part) =>
    new RegExp(`^[${cjk}]{2,}$`, "u").test(part) ? [...part].slice(1).map((last, at) => part[at] + last) : [part],
  );
}
