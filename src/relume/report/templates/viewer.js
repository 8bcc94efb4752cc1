// The viewer: wipes or flips between an original and a reconstruction, and steps through a network's depths. It shows copies of the images
// in the grid, which has a row for each original and a cell for each method. `changed` is called after every change.
"use strict";
function viewers(changed) {
  const KEYS = { ArrowLeft: ["method", -1], ArrowRight: ["method", 1], ArrowUp: ["picture", -1], ArrowDown: ["picture", 1] };

  function viewer(box) {
    const part = (name) => box.querySelector(name);
    const [method, picture, wipe] = ["method", "picture", "wipe"].map((name) => part(`[name="${name}"]`));
    const frame = part("[data-frame]"), flip = part("[data-flip]"), strip = part("[data-strip]");
    const rows = document.querySelector(`[data-grid="${CSS.escape(box.dataset.viewer)}"]`).tBodies[0].rows;
    let touched = false;  // only a chosen view is part of the address

    const cell = (number) => rows[picture.selectedIndex].cells[number];
    const image = (number) => cell(number).querySelector("img")?.cloneNode(true);
    const decibels = (number) => cell(number).querySelector("img + .soft")?.textContent ?? "";

    function move() {
      const share = Number(wipe.value), name = method.selectedOptions[0].textContent;
      frame.style.setProperty("--wipe", `${share}%`);
      wipe.setAttribute("aria-valuetext", `${share}% original, ${100 - share}% ${name}`);
      flip.setAttribute("aria-pressed", share === 100);
      flip.textContent = share === 100 ? "Flip to the reconstruction" : "Flip to the original";
    }

    function thumbnail(option) {
      const button = document.createElement("button"), shown = image(option.dataset.cell);
      button.type = "button";
      button.setAttribute("aria-label", option.textContent);
      if (option.selected) button.setAttribute("aria-current", "true");
      if (shown) { shown.alt = ""; shown.removeAttribute("title"); button.append(shown); }
      for (const text of new Set([option.dataset.caption, option.dataset.method])) {
        const label = document.createElement("span");
        label.textContent = text;
        button.append(label);
      }
      button.addEventListener("click", () => {
        choose(option);
        strip.querySelector("[aria-current]").focus({ preventScroll: true });
      });
      return button;
    }

    function draw() {
      const option = method.selectedOptions[0], number = option.dataset.cell, made = image(number);
      part('[data-layer="original"]').replaceChildren(image(0));
      part('[data-layer="made"]').replaceChildren(made ?? "no such image");
      part("[data-tag]").textContent = option.dataset.caption;
      part("[data-says]").textContent = [`${picture.value} by ${option.textContent}`, decibels(number)].filter(Boolean).join(": ");
      const thumbnails = [...option.parentElement.children].map(thumbnail);
      strip.setAttribute("aria-label", `Depth strip of ${option.parentElement.label}`);
      strip.replaceChildren(...thumbnails);
      const now = strip.querySelector("[aria-current]");
      strip.scrollLeft = now.offsetLeft - strip.clientWidth / 2 + now.offsetWidth / 2;
      move();
    }

    function update() { touched = true; draw(); changed(); }
    function choose(option) { option.selected = true; update(); }
    function step(select, by) {
      const count = select.options.length;
      select.selectedIndex = (select.selectedIndex + by + count) % count;
      update();
    }
    function toggle() { wipe.value = wipe.value === "100" ? 0 : 100; move(); }

    function drag() {
      let from = null, moved = false;
      const at = (event) => Math.round(100 * (event.clientX - frame.getBoundingClientRect().left) / frame.clientWidth);
      frame.addEventListener("pointerdown", (event) => {
        [from, moved] = [event.clientX, false];
        event.preventDefault();  // the browser must not drag the image
        if (event.isTrusted) frame.setPointerCapture(event.pointerId);
      });
      frame.addEventListener("pointermove", (event) => {
        if (from === null || (!moved && Math.abs(event.clientX - from) < 4)) return;
        moved = true;
        wipe.value = at(event);
        move();
      });
      frame.addEventListener("pointerup", () => { if (from !== null && !moved) toggle(); from = null; });
      frame.addEventListener("pointercancel", () => { from = null; });
    }

    function listen() {
      for (const select of [method, picture]) select.addEventListener("change", update);
      for (const button of box.querySelectorAll("[data-step]")) button.addEventListener("click", () => step(method, Number(button.dataset.step)));
      wipe.addEventListener("input", move);
      flip.addEventListener("click", toggle);
      box.addEventListener("keydown", (event) => {
        if (event.target.tagName !== "BUTTON" || event.altKey || event.ctrlKey || event.metaKey) return;
        const held = event.target.parentElement === strip, options = method.selectedOptions[0].parentElement.children;
        if (event.key in KEYS) {
          const [name, by] = KEYS[event.key];
          step(name === "method" ? method : picture, by);
        } else if (event.key === "Home" || event.key === "End") {
          choose(event.key === "Home" ? options[0] : options[options.length - 1]);
        } else return;
        event.preventDefault();
        if (held) strip.querySelector("[aria-current]").focus({ preventScroll: true });
      });
      drag();
    }

    const at = (select, value) => Math.max([...select.options].findIndex((option) => option.value === value), 0);
    listen();
    box.hidden = false;
    draw();
    return {
      id: box.dataset.viewer,
      get setting() { return touched ? `${picture.value}:${method.value}` : ""; },
      set setting(value) {
        const [id, name] = (value ?? "").split(":");
        touched = Boolean(value);
        [picture.selectedIndex, method.selectedIndex] = [at(picture, id), at(method, name)];
        draw();
      },
    };
  }

  return [...document.querySelectorAll("[data-viewer]")].map(viewer);
}
