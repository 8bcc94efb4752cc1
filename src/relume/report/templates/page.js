// Sorting and filtering of tables, and the choice of the image shown from shallow to deep. The address holds the state
// (#sort=<table>:<column>:<direction>&filter=<table>:<text>&oracles=<table>:off&picture=<board>:<id>&view=<board>:<id>:<method>), so that
// a view can be shared. Without this script the tables are complete and sorted by PSNR, and the first image is shown.
"use strict";
(() => {
  const state = { sort: new Map(), filter: new Map(), oracles: new Map(), picture: new Map() };

  const value = (row, index) => row.cells[index].dataset.value ?? row.cells[index].textContent;

  function compare(a, b, sign) {
    if (a === "" || b === "") return (a === "") - (b === "");  // missing values are last in both directions
    const x = Number(a), y = Number(b);
    return sign * (Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en") : x - y);
  }

  function sort(table, column, direction) {
    const heads = [...table.tHead.rows[0].cells];
    const index = heads.findIndex((head) => head.dataset.column === column);
    if (index < 0) return;
    const sign = direction === "ascending" ? 1 : -1;
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => compare(value(a, index), value(b, index), sign));
    table.tBodies[0].append(...rows);
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[index].setAttribute("aria-sort", direction);
    state.sort.set(table.dataset.sortable, `${column}:${direction}`);
  }

  // Baselines are always shown.
  function filter(form) {
    const table = document.getElementById(`table-${form.dataset.table}`);
    const words = form.elements.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0, methods = 0;
    for (const row of table.tBodies[0].rows) {
      if ("baseline" in row.dataset) continue;
      const hit = words.every((word) => row.dataset.text.includes(word)) && (form.elements.oracles.checked || !("oracle" in row.dataset));
      row.hidden = !hit;
      methods += 1;
      shown += hit;
    }
    form.querySelector("output").textContent = `${shown} of ${methods} methods, baselines always shown`;
    state.filter.set(form.dataset.table, form.elements.filter.value);
    state.oracles.set(form.dataset.table, form.elements.oracles.checked ? "" : "off");
  }

  // All images are in the grid: a row for each original, a cell for each method.
  function show(deep) {
    const grid = document.querySelector(`[data-grid="${CSS.escape(deep.dataset.deep)}"]`);
    const select = deep.querySelector("select");
    const cells = grid.tBodies[0].rows[select.selectedIndex].cells;
    for (const held of deep.querySelectorAll("[data-cell]")) {
      held.replaceChildren(...[...cells[held.dataset.cell].childNodes].map((node) => node.cloneNode(true)));
    }
    state.picture.set(deep.dataset.deep, select.selectedIndex ? select.value : "");
  }

  function write() {
    const query = new URLSearchParams();
    for (const [key, tables] of Object.entries(state)) {
      for (const [table, setting] of tables) if (setting) query.append(key, `${table}:${setting}`);
    }
    for (const view of views) if (view.setting) query.append("view", `${view.id}:${view.setting}`);
    history.replaceState(null, "", `#${query}`);
  }

  const setting = (query, key, id) => query.getAll(key).find((item) => item.startsWith(`${id}:`))?.slice(id.length + 1);

  function read() {
    if (!location.hash.includes("=")) return;  // an anchor
    const query = new URLSearchParams(location.hash.slice(1));
    for (const item of query.getAll("sort")) {
      const [id, column, direction] = item.split(":");
      const table = document.querySelector(`[data-sortable="${CSS.escape(id)}"]`);
      if (table && ["ascending", "descending"].includes(direction)) sort(table, column, direction);
    }
    for (const form of document.querySelectorAll("form.filter")) {
      form.elements.filter.value = setting(query, "filter", form.dataset.table) ?? "";
      form.elements.oracles.checked = setting(query, "oracles", form.dataset.table) !== "off";
      filter(form);
    }
    for (const deep of document.querySelectorAll("[data-deep]")) {
      const select = deep.querySelector("select"), named = setting(query, "picture", deep.dataset.deep);
      const index = [...select.options].findIndex((option) => option.value === named);
      select.selectedIndex = Math.max(index, 0);
      show(deep);
    }
    for (const view of views) view.setting = setting(query, "view", view.id);
  }

  const views = viewers(write);
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    for (const head of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const next = now === "ascending" ? "descending" : "ascending";
        sort(table, head.dataset.column, now ? next : head.dataset.first);
        write();
      });
    }
  }
  for (const form of document.querySelectorAll("form.filter")) {
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => { filter(form); write(); });
    filter(form);
  }
  for (const deep of document.querySelectorAll("[data-deep]")) {
    deep.querySelector("label").hidden = false;
    deep.querySelector("select").addEventListener("change", () => { show(deep); write(); });
  }
  read();
  addEventListener("hashchange", read);
})();
