"use strict";
(() => {
  const map = document.querySelector("svg.map");
  const selects = [...document.querySelectorAll("select[data-filter]")];
  const status = document.getElementById("shown");
  const keysOf = (element) => new Set(element.dataset.of.split(" "));
  const parts = [...map.querySelectorAll("[data-of]")].map((element) => [element, keysOf(element)]);
  const rows = [...document.querySelectorAll("table [data-of]")].map((element) => [element, keysOf(element)]);
  const cells = [...document.querySelectorAll("[data-source]")];
  const nodes = [...map.querySelectorAll("[data-key]")];
  const pinned = new Set(); // clauses and channels, which have no list

  const chosen = () => [...selects.map((select) => select.value).filter(Boolean), ...pinned];

  const look = (key) => {
    map.classList.toggle("looking", key !== null);
    for (const [element, keys] of parts) element.classList.toggle("lit", keys.has(key));
  };

  const apply = () => {
    const keys = chosen();
    const fits = (own) => keys.every((key) => own.has(key));
    for (const [element, own] of parts) element.classList.toggle("off", !fits(own));
    for (const [element, own] of rows) element.hidden = !fits(own);
    const source = selects.find((select) => select.dataset.filter === "source").value;
    for (const cell of cells) cell.hidden = source !== "" && cell.dataset.source !== source;
    for (const node of nodes) node.setAttribute("aria-pressed", String(keys.includes(node.dataset.key)));
    const count = rows.filter(([element]) => "counts" in element.dataset && !element.hidden).length;
    const text = keys.length ? status.dataset.some : status.dataset.all;
    status.textContent = text.replace("{count}", count).replace("{total}", status.dataset.total);
  };

  const choose = (node) => {
    const { key, column } = node.dataset;
    const select = selects.find((one) => one.dataset.filter === column);
    if (select) select.value = select.value === key ? "" : key;
    else if (!pinned.delete(key)) pinned.add(key);
    apply();
  };

  const clear = () => {
    for (const select of selects) select.value = "";
    pinned.clear();
    apply();
  };

  const middle = (node) => {
    const box = node.getBBox();
    return box.y + box.height / 2;
  };

  // The map is one stop of the tabulator: arrows lead from node to node.
  const move = (node, key) => {
    const columns = [...new Set(nodes.map((one) => one.dataset.column))];
    const beside = { ArrowLeft: -1, ArrowRight: 1 }[key];
    if (beside) {
      const column = columns[columns.indexOf(node.dataset.column) + beside];
      const there = nodes.filter((one) => one.dataset.column === column);
      there.sort((one, other) => Math.abs(middle(one) - middle(node)) - Math.abs(middle(other) - middle(node)));
      return there[0];
    }
    const own = nodes.filter((one) => one.dataset.column === node.dataset.column);
    const place = own.indexOf(node);
    return { ArrowUp: own[place - 1], ArrowDown: own[place + 1], Home: own[0], End: own.at(-1) }[key];
  };

  const focus = (node) => {
    for (const one of nodes) one.setAttribute("tabindex", one === node ? "0" : "-1");
    node.focus();
  };

  for (const node of nodes) {
    node.addEventListener("mouseenter", () => look(node.dataset.key));
    node.addEventListener("mouseleave", () => look(null));
    node.addEventListener("focus", () => look(node.dataset.key));
    node.addEventListener("blur", () => look(null));
    node.addEventListener("click", () => choose(node));
    node.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") choose(node);
      else if (event.key === "Escape") clear();
      else {
        const next = move(node, event.key);
        if (!next) return;
        focus(next);
      }
      event.preventDefault();
    });
  }
  for (const select of selects) select.addEventListener("change", apply);
  document.getElementById("clear").addEventListener("click", clear);
  document.getElementById("filters").hidden = false;
  apply();
})();
