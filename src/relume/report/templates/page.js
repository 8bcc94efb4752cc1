// Charts are drawn when they come into view; the wipe draws originals over what came back; tables sort.
"use strict";
(() => {
  const { specs, themes } = JSON.parse(document.getElementById("charts").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Map();

  function draw(box) {
    const config = themes[dark.matches ? "dark" : "light"];
    drawn.get(box)?.finalize();
    drawn.set(box, null);
    vegaEmbed(box, specs[box.dataset.chart], { config, actions: false, renderer: "svg" }).then((view) => drawn.set(box, view));
  }

  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "300px" });
  for (const box of document.querySelectorAll("[data-chart]")) seen.observe(box);
  dark.addEventListener("change", () => { for (const box of [...drawn.keys()]) draw(box); });
  addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("details.part")) fold.open = true;
  });

  const fit = new ResizeObserver((entries) => {
    for (const { target } of entries) target.classList.toggle("more", target.scrollWidth > target.clientWidth + 1);
  });
  for (const box of document.querySelectorAll(".scroll")) fit.observe(box);

  for (const figure of document.querySelectorAll("[data-wipe]")) {
    const label = figure.querySelector(".wipe"), range = label.querySelector("input");
    label.hidden = false;
    const move = (share) => {
      range.value = share;
      figure.style.setProperty("--wipe", `${share}%`);
      range.setAttribute("aria-valuetext", `${Math.round(share)}% original`);
    };
    range.addEventListener("input", () => move(Number(range.value)));
    figure.addEventListener("pointermove", (event) => {
      const tile = event.target.closest(".tile");
      if (!tile?.querySelector(".over") || (event.pointerType !== "mouse" && !event.buttons)) return;
      const box = tile.getBoundingClientRect();
      tile.style.setProperty("--wipe", `${(100 * (event.clientX - box.left)) / box.width}%`);
    });
    figure.addEventListener("pointerout", (event) => event.target.closest(".tile")?.style.removeProperty("--wipe"));
    move(0);
  }

  const value = (row, index) => row.cells[index].dataset.value ?? row.cells[index].firstChild?.textContent ?? "";
  function compare(a, b, sign) {
    if (a === "" || b === "") return (a === "") - (b === "");  // missing values are last in both directions
    const x = Number(a), y = Number(b);
    return sign * (Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en") : x - y);
  }
  function sort(table, index, direction) {
    const rows = [...table.tBodies[0].rows], sign = direction === "ascending" ? 1 : -1;
    rows.sort((a, b) => compare(value(a, index), value(b, index), sign));
    table.tBodies[0].append(...rows);
    [...table.tHead.rows[0].cells].forEach((head, at) => at === index ? head.setAttribute("aria-sort", direction) : head.removeAttribute("aria-sort"));
  }
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    [...table.tHead.rows[0].cells].forEach((head, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        sort(table, index, now ? (now === "ascending" ? "descending" : "ascending") : head.dataset.first);
      });
    });
  }

  const open = () => {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (target && target.closest("details")) target.closest("details").open = true;
  };
  addEventListener("hashchange", open);
  open();
})();
