"use strict";
(() => {
  const all = (query, root = document) => [...root.querySelectorAll(query)];
  document.documentElement.classList.add("scripted");

  // What is under the pointer: its figures, and the same layer in every other chart.
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("role", "status");
  document.body.append(tip);
  let shown = null;
  const mark = (layer, on) => {
    if (layer) all(`[data-layer="${layer}"]`).forEach((e) => e.classList.toggle("on", on));
  };
  const show = (event) => {
    const at = event.target.closest?.("[data-tip], [data-layer]") ?? null;
    if (at !== shown) {
      mark(shown?.dataset.layer, false);
      mark(at?.dataset.layer, true);
      shown = at;
    }
    tip.hidden = !at?.dataset.tip;
    if (tip.hidden) return;
    tip.textContent = at.dataset.tip;
    const box = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, innerWidth - box.width - 6);
    const below = event.clientY + 18;
    const top = below + box.height > innerHeight ? event.clientY - box.height - 10 : below;
    tip.style.left = `${Math.max(6, left)}px`;
    tip.style.top = `${Math.max(6, top)}px`;
  };
  for (const name of ["pointermove", "pointerdown"]) document.addEventListener(name, show);
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  // Tables: a click on a heading sorts by it.
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value ?? cell.textContent.trim();
  };
  const compare = (one, two) => {
    if (one === "" || two === "") return (one === "") - (two === "");
    const difference = Number(one) - Number(two);
    return Number.isNaN(difference) ? one.localeCompare(two) : difference;
  };
  for (const head of all("th[aria-sort]")) {
    head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of all("th[aria-sort]", head.parentNode)) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = head.closest("table").tBodies[0];
      const rows = [...body.rows].sort((a, b) => {
        const [one, two] = [value(a, head.cellIndex), value(b, head.cellIndex)];
        const order = compare(one, two);
        return one === "" || two === "" || !down ? order : -order;
      });
      body.append(...rows);
    });
  }

  // The graph: larger, smaller, whole; Ctrl and the wheel; drag to move.
  for (const graph of all(".graph")) {
    const svg = graph.querySelector("svg");
    const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
    let zoom = 1;
    const set = (next) => {
      const x = (graph.scrollLeft + graph.clientWidth / 2) / zoom;
      const y = (graph.scrollTop + graph.clientHeight / 2) / zoom;
      zoom = Math.min(3, Math.max(0.05, next));
      svg.setAttribute("width", width * zoom);
      svg.setAttribute("height", height * zoom);
      graph.scrollTo(x * zoom - graph.clientWidth / 2, y * zoom - graph.clientHeight / 2);
    };
    const whole = () => Math.min((graph.clientWidth - 34) / width, (graph.clientHeight - 34) / height);
    const steps = { larger: () => zoom * 1.3, smaller: () => zoom / 1.3, whole, full: () => 1 };
    for (const button of all("[data-zoom]", graph.parentNode))
      button.addEventListener("click", () => set(steps[button.dataset.zoom]()));
    graph.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      set(zoom * (event.deltaY < 0 ? 1.15 : 1 / 1.15));
    }, { passive: false });
    graph.addEventListener("pointermove", (event) => {
      if (event.buttons === 1 && event.pointerType === "mouse") graph.scrollBy(-event.movementX, -event.movementY);
    });
    set(Math.min(1, (graph.clientWidth - 34) / width));
    graph.scrollTo((graph.scrollWidth - graph.clientWidth) / 2, 0);
  }

  for (const button of all(".copy"))
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.from).textContent);
      button.textContent = "copied";
    });

  // Paper has nothing to click on.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details:not([open])");
    closed.forEach((e) => { e.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((e) => { e.open = false; }));
})();
